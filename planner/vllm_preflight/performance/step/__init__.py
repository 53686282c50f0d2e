"""One step of the engine: what it reads and computes, and how long that takes."""
