"""Networks that are trained from scratch, as their papers table them; plain modules that know no data and no loss."""
