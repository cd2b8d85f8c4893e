"""The baselines of the DAC paper's table, and strong plain ones."""
