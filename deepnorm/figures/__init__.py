"""The paper's figures as functions of analyses, each a script that makes one claim.

`draw` takes one `replica.scaling.Analysis`, or several by title (a panel each), and
returns a matplotlib Figure; `caption` says what it shows, with its numbers. Call `draw`
and save within `deepnorm.figures.style.context()`. `training` takes curves, and `margins` the
records of one run, in place of an analysis.

=============  =======================================================  ============
module         shows                                                    in the paper
=============  =======================================================  ============
curves         error or loss against norm, and its early law            Figure 3
collapse       the curves in units of their optimum                     Figure 4
combined       the error at the optimum: three regimes of P             Figure 5
fits           where the two exponents come from                        Figure 8
exponents      the predicted exponent beside the measured one           Figure 9
training       error and norm against time                              Figure 7
margins        the margins of a network in units of its norm            Figure 6
choices        what the exponents would have been                       not there
phase_diagram  the pair of exponents, where the product law holds       not there
=============  =======================================================  ============
"""
