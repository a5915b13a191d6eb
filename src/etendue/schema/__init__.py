"""What every table column and mask plane is called and means."""
