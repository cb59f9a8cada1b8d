"""The generalised reparameterization and its recursion, on Gamma latents."""
