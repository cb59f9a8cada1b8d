"""The library's front door: estimators in a plain PyTorch loop, and the table that compares them.

Here shapes are the user's: any leading axes, no replica axis. What is behind the door, and what
stands in the other rooms, has `[replica, batch, latent]` throughout; there is one replica.
"""
