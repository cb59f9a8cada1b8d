"""What the latents are: a continuous z behind a b that is drawn, one file a kind."""

MOST_ENUMERATED = 16  # the most Bernoulli latents whose 2^latents values are gone through
MOST_STATES = 2**MOST_ENUMERATED  # the same for latents of any kind
