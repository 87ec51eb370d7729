"""DIB-MG (Kim et al. 2018): weakly supervised reading of the whole exam."""
