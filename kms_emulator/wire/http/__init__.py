"""HTTP: requests and responses as values, one ASGI application, and the uvicorn server that runs it."""
