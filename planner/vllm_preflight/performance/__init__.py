"""How fast a launch serves: step times, the stationary state, and an estimate with bounds."""
