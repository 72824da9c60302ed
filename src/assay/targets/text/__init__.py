"""Networks that classify texts, given as rows of bytes.

`tokens` turns texts into tokens and `network.TextNetwork` tokens into logits; `families` builds networks by name,
`pretrained` loads public or local weights.
"""
