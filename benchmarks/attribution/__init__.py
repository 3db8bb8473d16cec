"""DeepLIFT of all layers in one pass, timed and compared against Captum layer by layer."""
