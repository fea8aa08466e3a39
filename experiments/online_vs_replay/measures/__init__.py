"""What is measured in agents while they learn, and after."""
