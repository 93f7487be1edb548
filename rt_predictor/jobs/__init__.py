"""Jobs: their columns, units and rules, the same for every way in."""
