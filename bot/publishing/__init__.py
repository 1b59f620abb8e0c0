"""Publishing: GitHub is brought to show what a run is."""
