package store

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is an error code of the OCI distribution specification 1.1 (section "Error Codes"), or one of ours where it has none.
type Code string

// The codes of the specification, then ours (CodeConflict and below), which a client sees as the nearest standard one.
const (
	CodeBlobUnknown         Code = "BLOB_UNKNOWN"
	CodeBlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	CodeBlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	CodeDigestInvalid       Code = "DIGEST_INVALID"
	CodeManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	CodeManifestInvalid     Code = "MANIFEST_INVALID"
	CodeManifestUnknown     Code = "MANIFEST_UNKNOWN"
	CodeNameInvalid         Code = "NAME_INVALID"
	CodeNameUnknown         Code = "NAME_UNKNOWN"
	CodeSizeInvalid         Code = "SIZE_INVALID"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeDenied              Code = "DENIED"
	CodeUnsupported         Code = "UNSUPPORTED"
	CodeTooManyRequests     Code = "TOOMANYREQUESTS"

	CodeTagInvalid     Code = "TAG_INVALID"
	CodeRangeInvalid   Code = "RANGE_INVALID"
	CodeManifestTooBig Code = "MANIFEST_TOO_BIG"
	CodeMediaType      Code = "MEDIA_TYPE"
	CodeMethod         Code = "METHOD"
	CodeInvalid        Code = "INVALID"
	CodeNotFound       Code = "NOT_FOUND"
	CodeConflict       Code = "CONFLICT"
	CodePrecondition   Code = "PRECONDITION"
	CodeStorageFull    Code = "STORAGE_FULL"
	CodeUnavailable    Code = "UNAVAILABLE"
	CodeInternal       Code = "INTERNAL"
)

// row of the one mapping from code to HTTP status; wire is the code that the client sees.
type row struct {
	status int
	wire   Code
}

var catalogue = map[Code]row{
	CodeBlobUnknown:         {http.StatusNotFound, CodeBlobUnknown},
	CodeBlobUploadInvalid:   {http.StatusBadRequest, CodeBlobUploadInvalid},
	CodeBlobUploadUnknown:   {http.StatusNotFound, CodeBlobUploadUnknown},
	CodeDigestInvalid:       {http.StatusBadRequest, CodeDigestInvalid},
	CodeManifestBlobUnknown: {http.StatusBadRequest, CodeManifestBlobUnknown},
	CodeManifestInvalid:     {http.StatusBadRequest, CodeManifestInvalid},
	CodeManifestUnknown:     {http.StatusNotFound, CodeManifestUnknown},
	CodeNameInvalid:         {http.StatusBadRequest, CodeNameInvalid},
	CodeNameUnknown:         {http.StatusNotFound, CodeNameUnknown},
	CodeSizeInvalid:         {http.StatusBadRequest, CodeSizeInvalid},
	CodeUnauthorized:        {http.StatusUnauthorized, CodeUnauthorized},
	CodeDenied:              {http.StatusForbidden, CodeDenied},
	CodeUnsupported:         {http.StatusMethodNotAllowed, CodeUnsupported},
	CodeTooManyRequests:     {http.StatusTooManyRequests, CodeTooManyRequests},
	CodeTagInvalid:          {http.StatusBadRequest, CodeManifestInvalid},
	CodeRangeInvalid:        {http.StatusRequestedRangeNotSatisfiable, CodeBlobUploadInvalid},
	CodeManifestTooBig:      {http.StatusRequestEntityTooLarge, CodeSizeInvalid},
	CodeMediaType:           {http.StatusUnsupportedMediaType, CodeManifestInvalid},
	CodeMethod:              {http.StatusMethodNotAllowed, CodeUnsupported},
	CodeInvalid:             {http.StatusBadRequest, CodeUnsupported},
	CodeNotFound:            {http.StatusNotFound, CodeNameUnknown},
	CodeConflict:            {http.StatusConflict, CodeDenied},
	CodePrecondition:        {http.StatusPreconditionFailed, CodeDenied},
	CodeStorageFull:         {http.StatusInsufficientStorage, CodeUnsupported},
	CodeUnavailable:         {http.StatusServiceUnavailable, CodeUnsupported},
	CodeInternal:            {http.StatusInternalServerError, CodeUnsupported},
}

// Error is what a caller may decide on and a person may read. Message is one complete sentence of at most 300 characters: what, why, what to do.
// Detail is a short string: containerd prints nothing else. Cause is for the log alone and never leaves the process.
type Error struct {
	Code    Code
	Message string
	Detail  string
	// Explain, if set, is the path of the explanation: Link rel="describedby".
	Explain string
	// Reason, if set, is the reason code of a policy's refusal: Link rel="help" to its page, where the catalogue has one.
	Reason string
	Cause  error
}

// Errorf makes an Error with a formatted message. A %w argument becomes the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// Error returns the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an *Error of the same code, so that errors.Is(err, &Error{Code: c}) works across the wire.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Status is the HTTP status of the code; 500 for a code outside the catalogue.
func (e *Error) Status() int {
	if r, ok := catalogue[e.Code]; ok {
		return r.status
	}
	return http.StatusInternalServerError
}

// Wire is the code as the specification names it.
func (e *Error) Wire() Code {
	if r, ok := catalogue[e.Code]; ok {
		return r.wire
	}
	return CodeUnsupported
}

// CodeOf returns the code of the first *Error in err's chain; CodeInternal if there is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
