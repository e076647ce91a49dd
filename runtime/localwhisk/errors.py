"""Everything a request can be refused with: RequestError and OpenWhisk's own sentences (its Messages.scala)."""

NOT_FOUND = "The requested resource does not exist."
CONFLICT = "resource already exists"
WRONG_COLLECTION = "Resource by this name exists but is not in this collection."
INTERNAL = "There was an internal server error."
NO_ROUTE = "The requested resource could not be found."
NO_CREDENTIALS = "The resource requires authentication, which was not supplied with the request"
BAD_CREDENTIALS = "The supplied authentication is invalid"
NOT_AUTHENTICATED = "Authentication is possible but has failed or not yet been provided."
CHALLENGE = {"www-authenticate": 'Basic realm="OpenWhisk secure realm"'}
ILLEGAL_NAME = "The name of the entity contains illegal characters."
ILLEGAL_NAMESPACE = "The namespace contains illegal characters."
PARAMETERS_NOT_ALLOWED = "Request defines parameters that are not allowed (e.g., reserved properties)."
SEQUENCE_TOO_LONG = "Too many actions in the sequence."
SEQUENCE_EMPTY = "No component specified for the sequence."
SEQUENCE_CYCLIC = "Sequence may not refer to itself."
SEQUENCE_COMPONENT_MISSING = "Sequence component does not exist."
SEQUENCE_FAILED = "Sequence failed."
COMPOSITION_TOO_LONG = "Too many actions in the composition."
COMPOSITION_FAILED = "Activation failure during composition."
BINDING_MISSING = "Binding references a package that does not exist."
BINDING_TO_BINDING = "Cannot bind to another package binding."
BINDING_TO_OTHER = "Cannot bind to a resource that is not a package."
PACKAGE_TO_BINDING = "Resource is a package and cannot be converted into a binding."
NOT_ON_BINDING = "Operation not permitted on package binding."
TOO_MANY_INSTANCES = "Max action instance concurrency must not exceed your namespace concurrency of"
FEED_INVALID = "Feed name is not valid"
RULE_INCOMPLETE = "rule requires a valid trigger and a valid action"
MALFORMED = "The request content was malformed:\n"


class RequestError(Exception):
    """A request that ends with this HTTP status, sentence and headers."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


class RejectionError(RequestError):
    """One that OpenWhisk leaves to its HTTP library: what it would add to its own answers is not there."""


def not_found() -> RequestError:
    return RequestError(404, NOT_FOUND)


def no_such(name: object) -> RequestError:
    """As OpenWhisk says it where it looks for the resource before it opens it."""
    return RequestError(404, f"The requested resource '{name}' does not exist.")


def malformed(detail: str) -> RejectionError:
    return RejectionError(400, MALFORMED + detail)


def malformed_query(name: str, detail: str) -> RejectionError:
    return RejectionError(400, f"The query parameter '{name}' was malformed:\n{detail}")


def too_large(what: str, size: int, allowed: int) -> RequestError:
    return RequestError(413, f"{what} larger than allowed: {size} > {allowed} bytes.")


def not_authorized(resource: str) -> RequestError:
    return RequestError(403, f"The supplied authentication is not authorized to access '{resource}'.")
