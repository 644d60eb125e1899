"""Error codes of the API: name, status of HTTP, and text. Names are those of the Atlas API where it has one.

A text says what was wrong; `{}` stand for the parameters, which the body of the error has too. That nothing was changed
goes without saying in an API, and what to do is in the text where it is not plain.

What is wrong with a field, and what a provider said, have codes of their own, where that is found out (`fields`,
`checks`).
"""

from enum import Enum

from keystore.errors import ApiError


class Code(Enum):
    """An error code; `error` makes the error."""

    # Any request
    INVALID_JSON = 400, "The body is not JSON: {}."
    INVALID_ATTRIBUTE = 400, "The attribute {} is invalid: {}."
    MISSING_ATTRIBUTE = 400, "The required attribute {} was not specified."
    INVALID_QUERY_PARAMETER = 400, "The query parameter {} is invalid: {}."
    INVALID_ID = 400, "{} is not an id: 24 hexadecimal digits were expected."
    UNAUTHORIZED = 401, "No valid API key was given; give public and private key by HTTP Basic authentication."
    USER_UNAUTHORIZED = 403, "The current user is not authorized to perform this action; it needs {}."
    RESOURCE_NOT_FOUND = 404, "Cannot find resource {}."
    METHOD_NOT_ALLOWED = 405, "The method {} is not allowed for this resource."
    INVALID_MEDIA_TYPE = 406, "None of the media types {} can be given."
    REQUEST_TOO_LARGE = 413, "The body is larger than {} bytes."
    INVALID_HTTP_REQUEST = 400, "The request is not HTTP, or its head is too large."
    TOO_MANY_FAILED_AUTHENTICATIONS = 429, "Too many wrong API keys were given; try again after {} seconds."
    UNSUPPORTED_MEDIA_TYPE = 415, "The media type {} is not supported; send application/json."
    CONFLICT = 409, "Somebody else changed this at the same time; read it again and try again."
    UNEXPECTED_ERROR = 500, "Unexpected error."
    SERVICE_UNAVAILABLE = 503, "{}"

    # Organisations, projects, keys, people
    ORG_NOT_FOUND = 404, "No organization with ID {} exists."
    GROUP_NOT_FOUND = 404, "No group with ID {} exists."
    GROUP_ALREADY_EXISTS = 409, "A group with name {} already exists."
    API_KEY_NOT_FOUND = 404, "No API key with ID {} exists."
    CANNOT_DELETE_LAST_OWNER = 409, "The organization would be left without an API key that is its owner."
    INVALID_ROLE = 400, "The role {} cannot be given here."
    USER_NOT_FOUND = 404, "No user with ID {} exists."
    EVENT_NOT_FOUND = 404, "No event with ID {} exists."

    # Alerts
    ALERT_NOT_FOUND = 404, "No alert with ID {} exists."
    ALERT_CONFIG_NOT_FOUND = 404, "No alert configuration with ID {} exists."
    ALERT_CONFIG_ALREADY_EXISTS = 409, "There is an alert configuration for {} already; change that one."
    INVALID_EVENT_TYPE = 400, "{} is not an event type that an alert can be configured for."
    THRESHOLD_REQUIRED = 400, "Alerts of type {} need a threshold in DAYS."
    THRESHOLD_NOT_ALLOWED = 400, "Alerts of type {} have no threshold."

    # Clusters and tiers
    CLUSTER_NOT_FOUND = 404, "No cluster named {} exists in group {}."
    DUPLICATE_CLUSTER_NAME = 409, "A cluster named {} is already present in group {}."
    CANNOT_USE_ENCRYPTION_AT_REST_TENANT = 400, "Encryption at rest cannot be enabled for tenant clusters."
    CANNOT_USE_ENCRYPTION_AT_REST_BACKUP_TYPE = 400, "Encryption at rest cannot be used with legacy backups."
    CANNOT_SWITCH_CPS_BACKUP_TO_CONTINUOUS = 400, "A cluster with cloud backups cannot be switched to legacy backups."

    CANNOT_UPDATE_PAUSED_CLUSTER = 409, "The cluster {} is paused and cannot be updated; resume it first."
    CLUSTER_ALREADY_REQUESTED_DELETION = 409, "The cluster {} is being deleted."
    CLUSTER_NOT_READY = 409, "The cluster {} is being made; wait until it is."
    CLUSTER_OPERATION_ABANDONED = 409, "The operation {} was abandoned; nodes that it touched stay as they are."
    NODE_NOT_FOUND = 404, "The cluster {} has no node named {}."
    DRAFT_NOT_FOUND = 404, "The cluster {} has no draft with ID {}."
    STALE_DRAFT = 409, "The cluster {} was changed since the draft was opened; open a new one."

    # Configuration of a key
    ENCRYPTION_AT_REST_NOT_ENABLED = (
        400,
        "Encryption at rest with {} is not enabled for the group; configure a key there first.",
    )
    INVALID_ENCRYPTION_AT_REST_PROVIDER = 400, "The encryption at rest provider {} is invalid."
    ENCRYPTION_AT_REST_SETTINGS_INVALID = (
        400,
        "Atlas is unable to access your encryption key. You cannot change your encryption key until access to your "
        "current encryption key has been restored.",
    )
    CANNOT_DISABLE_ENCRYPTION_AT_REST = (
        409,
        "Encryption at rest cannot be disabled: it is still enabled on one or more clusters in the group: {}.",
    )
    CANNOT_CHANGE_ENCRYPTION_AT_REST_PROVIDER = (
        409,
        "The encryption at rest provider cannot be changed: disable it, then enable it with the other provider. That "
        "will decrypt your data in between.",
    )
    CANNOT_ROTATE_KEY_ENCRYPTION_DISABLED = 409, "The key cannot be rotated: encryption at rest with {} is disabled."
    ENCRYPTION_AT_REST_KEY_UNCHANGED = (
        400,
        "The key with {} is {} already, so there is nothing to rotate to; name another key. New key material under the "
        "same key needs nothing here, and credentials alone are changed by PATCH encryptionAtRest.",
    )
    CANNOT_CHANGE_AZURE_KEY_VAULT = (
        409,
        "The key vault cannot be changed while clusters have their keys in it: {}. Disable encryption at rest on them "
        "first, or name a key of the same vault.",
    )

    # Snapshots and restores
    BACKUPS_NOT_ENABLED = 400, "Backups are not enabled for the cluster {}."
    CLUSTER_NOT_RUNNING = 409, "The cluster {} is {}; no snapshot can be taken of it."
    INVALID_BACKUP_SCHEDULE = 400, "The backup schedule is invalid: {}."
    SNAPSHOT_NOT_FOUND = 404, "No snapshot with ID {} exists."
    SNAPSHOT_NOT_COMPLETED = 409, "The snapshot {} is {}."
    SNAPSHOT_UNUSABLE = 400, "The snapshot cannot be restored: {}"
    RESTORE_JOB_NOT_FOUND = 404, "No restore job with ID {} exists."
    INVALID_SNAPSHOT_RESTORE_ENCRYPTION = 400, "{}"
    CANNOT_RESTORE_TO_TARGET = 403, "The target cluster {} cannot be restored to: {}."
    CANNOT_CANCEL_RESTORE_JOB = 409, "The restore job {} is {} and cannot be cancelled any more."
    CLUSTER_PAUSED_CANNOT_RESTORE = 400, "The cluster {} is paused and cannot be restored to."
    ATLAS_CLUSTER_RESTORE_IN_PROGRESS = 409, "A restore of the cluster {} is in progress."
    INVALID_PIT_RESTORE_TIME = 400, "The point in time cannot be restored: {}"

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    def error(self, *parameters: str, field: str = "") -> ApiError:
        """Return the error to raise; `field` is the one of the body or query that was wrong."""
        return ApiError(self.status, self.name, self.text.format(*parameters), parameters, field)
