"""Board shells: clocking, reset and the serial bridge round the accelerator, and its host side."""
