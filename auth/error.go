package auth

import "time"

// Types of Error: the words AWS uses, so that its SDKs decode them.
const (
	TypeMissingToken        = "MissingAuthenticationTokenException" // no credentials at all
	TypeIncompleteSignature = "IncompleteSignatureException"        // credentials that cannot be read, or that sign too little
	TypeInvalidSignature    = "InvalidSignatureException"           // wrong, expired or for another region or service
	TypeUnrecognizedClient  = "UnrecognizedClientException"         // an unknown key or token
	TypeUnavailable         = "ServiceUnavailable"                  // what knows the answer cannot be asked now
)

// Error is why a request was not authenticated. It never contains a secret, a
// token or a signature, so it may be logged and sent to the caller.
type Error struct {
	Type    string // one of the Type constants
	Status  int    // HTTP status that AWS documents for Type
	Message string // what is wrong and what to do
	// RetryAfter is when to try again, with TypeUnavailable.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Refuse returns an Error of one of the Type constants but TypeUnavailable; all of
// them are answered with 403, as Lambda does.
func Refuse(errorType, message string) *Error {
	return &Error{Type: errorType, Status: 403, Message: message}
}

// Unavailable returns an Error of TypeUnavailable, which is answered with 503: the
// caller may be who it says, and should try again.
func Unavailable(message string, after time.Duration) *Error {
	return &Error{Type: TypeUnavailable, Status: 503, Message: message, RetryAfter: after}
}
