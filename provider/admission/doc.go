// Package admission is the webhook by which pods of teams that opted in come to the
// virtual node: it lets them in and asks for that node, if the dispatcher says that
// policy lets them run on idle capacity. In all other cases, and when nobody answers, a
// pod stays as it is: the webhook never keeps a pod from being made.
//
//	API server ─► Webhook ─► guest.Check, node's labels ─► dispatcher: preview ─► patch
//
// Keeper has the certificates that it is served with.
package admission
