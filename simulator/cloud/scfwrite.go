package cloud

import "net/http"

// scfWriteBody is what the writes may have in their bodies.
type scfWriteBody struct {
	FunctionName           *string
	Namespace              *string
	ReservedConcurrencyMem *uint64 // MiB
}

// write answers PutReservedConcurrencyConfig and DeleteReservedConcurrencyConfig.
func (s *scfFront) write(w http.ResponseWriter, id, action string, body []byte) *scfError {
	var in scfWriteBody
	if refused := decodeParameters(body, &in); refused != nil {
		return refused
	}
	f, refused := s.named(&scfReadBody{FunctionName: in.FunctionName, Namespace: in.Namespace})
	if refused != nil {
		return refused
	}
	n := in.ReservedConcurrencyMem
	switch {
	case action == "DeleteReservedConcurrencyConfig" && n != nil:
		return &scfError{"UnknownParameter", "ReservedConcurrencyMem belongs to another action"}
	case action == "DeleteReservedConcurrencyConfig":
		s.fleet.unreserve(f)
	case n == nil:
		return &scfError{"MissingParameter", "ReservedConcurrencyMem is missing"}
	case *n > 1<<31-1 || s.fleet.reserve(f, int(*n)) != nil:
		return &scfError{"LimitExceeded.FunctionReservedConcurrencyMemory", "reserved memory may add up to the account's less 12800 MB"}
	}
	writeSCF(w, map[string]any{"RequestId": id})
	return nil
}
