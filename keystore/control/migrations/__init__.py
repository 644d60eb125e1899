"""What makes and changes the tables of the control database, one step a file in `versions`."""
