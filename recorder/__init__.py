"""Record OKX v5 WebSocket sessions byte for byte; read and interpret captures."""

__version__ = "0.1.0"
