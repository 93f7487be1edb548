"""Generated from proto/rt_predictor/v1/rt_predictor.proto by `make proto`."""
