"""What agents here reach on POPGym, beside what its paper reached."""
