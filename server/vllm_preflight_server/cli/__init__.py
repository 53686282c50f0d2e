"""What people type and see: one module a command, and the terminal's drawing."""
