"""Everything a request can be refused with: RequestError and OpenWhisk's own sentences (its Messages.scala)."""

NOT_FOUND = "The requested resource does not exist."
CONFLICT = "resource already exists"
WRONG_COLLECTION = "Resource by this name exists but is not in this collection."
INTERNAL = "There was an internal server error."
NO_CREDENTIALS = "The resource requires authentication, which was not supplied with the request"
BAD_CREDENTIALS = "The supplied authentication is invalid"
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
    """A request that ends with this HTTP status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def not_found() -> RequestError:
    return RequestError(404, NOT_FOUND)


def malformed(detail: str) -> RequestError:
    return RequestError(400, MALFORMED + detail)


def too_large(what: str, size: int, allowed: int) -> RequestError:
    return RequestError(413, f"{what} larger than allowed: {size} > {allowed} bytes.")


def not_authorized(resource: str) -> RequestError:
    return RequestError(403, f"The supplied authentication is not authorized to access '{resource}'.")
