"""What readers see, made from outcomes and from nothing else.

`report.assemble` answers the four questions for one target; `html.write_html`, `report.write_json`,
`terminal.print_summary` and `html.notebook_html` show the answers, `overview.write_overview` those for several
targets, and `frame.frame` gives every number as a data frame. `charts` draws any figure that a method declares.
"""
