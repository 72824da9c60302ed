"""Numbers over many outcomes: correlations with intervals, standings among models measured alike, published claims."""
