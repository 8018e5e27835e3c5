"""What the control plane answers to programs."""
