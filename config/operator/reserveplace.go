package operator

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
)

// placeOf is where the functions of a pool are.
func placeOf(p *spillway.Pool) kube.CloudPlace {
	if p.Kind == spillway.PoolSCF {
		return kube.CloudPlace{Region: p.Region, Endpoint: p.SCF.Endpoint, Namespace: p.SCF.Namespace, Credentials: p.SCF.CredentialsFrom}
	}
	return kube.CloudPlace{Region: p.Region, Endpoint: p.Lambda.Endpoint, Credentials: p.Lambda.CredentialsFrom}
}

// poolAt is a pool as it was when e was written; nil if e does not say.
func poolAt(e kube.Reservation) *spillway.Pool {
	if e.At == nil {
		return nil
	}
	p := &spillway.Pool{Name: e.Pool, Kind: spillway.PoolLambda, Region: e.At.Region,
		Lambda: spillway.LambdaEndpoint{Endpoint: e.At.Endpoint, CredentialsFrom: e.At.Credentials}}
	if e.Unit == clouddrift.Unit(&spillway.Pool{Kind: spillway.PoolSCF}) {
		p.Kind, p.Lambda = spillway.PoolSCF, spillway.LambdaEndpoint{}
		p.SCF = spillway.SCFEndpoint{Endpoint: e.At.Endpoint, Namespace: e.At.Namespace, CredentialsFrom: e.At.Credentials}
	}
	return p
}

// elsewhere reports that a reservation was written where the functions of pool are not.
func elsewhere(e kube.Reservation, pool *spillway.Pool) bool {
	return e.At != nil && wrote(e) && (*e.At != placeOf(pool) || e.Unit != clouddrift.Unit(pool))
}

// wrote reports that something was written, or may have been.
func wrote(e kube.Reservation) bool { return e.Written != nil || e.Writing != nil }
