"""From trained boosters to one ONNX graph, one step a file.

    read_xgboost, read_lightgbm, read_catboost    a booster's own form  -> TreeEnsemble (`trees`)
    normalise                                     one kind of split     -> CanonicalTrees
    fuse                                          heads of models       -> nodes of a graph
    verify                                        graph against boosters, or ParityError

Beneath these: `intervals` (what can reach a split, on float32), and for verification `native` (ask
the library), `compiled` (ask the graph), `probes` (which rows) and `compare` (one model).
"""
