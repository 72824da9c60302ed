"""Texts as rows of bytes, and networks that read such rows.

`rows` turns texts into rows and back, `tokens` rows into tokens, `network.TextNetwork` tokens into logits; `families`
builds networks by name, `pretrained` gives them public or local weights.
"""
