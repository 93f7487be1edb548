"""Boosters of three libraries, from jobs to nodes of an ONNX graph, one step a file.

fit                       samples -> one booster a library
xgboost_booster, ...      all that is particular to one library, its converter included
trees                     a converted model -> trees of one form
nodes                     trees of several models -> nodes of one graph
parity                    graph against boosters, tree by tree, or ParityError
probes                    the rows that parity is proven on
"""
