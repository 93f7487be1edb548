"""The gRPC API: messages in and out. Nothing below this package knows them."""
