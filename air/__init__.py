"""What can be claimed: M31 arithmetic, the circle group, the constraint language and the statements."""
