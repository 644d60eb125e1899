"""What a customer sees of the control plane: organisations, projects, key configurations, deployments, backups, alerts.

Leaves to others: clusters as mechanism (`keystore.control`), HTTP (`keystore.rest`).
"""
