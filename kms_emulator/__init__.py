"""One local process that cloud clients take for AWS KMS, Azure Key Vault and Google Cloud KMS."""

__version__ = "0.1.0"
