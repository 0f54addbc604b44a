package auth

// Types of Error: the words AWS uses, so that its SDKs decode them.
const (
	TypeMissingToken        = "MissingAuthenticationTokenException" // no credentials at all
	TypeIncompleteSignature = "IncompleteSignatureException"        // credentials that cannot be read, or that sign too little
	TypeInvalidSignature    = "InvalidSignatureException"           // wrong, expired or for another region or service
	TypeUnrecognizedClient  = "UnrecognizedClientException"         // an unknown key or token
)

// Error is why a request was not authenticated. It never contains a secret, a
// token or a signature, so it may be logged and sent to the caller.
type Error struct {
	Type    string // one of the Type constants
	Status  int    // HTTP status that AWS documents for Type
	Message string // what is wrong and what to do
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Refuse returns an Error of one of the Type constants; all of them are
// answered with 403, as Lambda does.
func Refuse(errorType, message string) *Error {
	return &Error{Type: errorType, Status: 403, Message: message}
}
