"""How fast a launch serves, and between which bounds."""
