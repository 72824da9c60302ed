"""Classifiers as ``save_pretrained`` of transformers writes them: a folder, or a repository of the model hub.

`folder` checks what a folder holds before anything of it is opened, `hub` fetches a repository, `images` and `texts`
build the two kinds of network, and `opening.open_hugging_face` puts them together.
"""
