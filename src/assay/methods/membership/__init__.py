"""Whether somebody's data was trained on: signals of each answer, scores that compare them, and what scores are worth.

`signals` and `logits` are numbers of one answer; `thresholds`, `lira` and `rmia` compare them with shadow models;
`roc` measures a score, `calibration` finds thresholds on shadow models, and `vulnerability` says who is exposed. All of
these are pure functions over arrays. `attack` asks for the answers, `shadow_attack` trains shadow models besides,
`results` turns scores into metrics with intervals, figures and a verdict; the remaining files are one method each.
"""
