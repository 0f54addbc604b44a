package main

import "slices"

// Addresses inside the cluster's network, which has no way out. The API server is
// where pods look for it, without a proxy of services: serviceIP is an address of the node.
const (
	nodeName       = "node1"
	nodeIP         = "198.51.100.10"
	serviceIP      = "10.96.0.1"
	serviceRange   = "10.96.0.0/24"
	podRange       = "10.244.0.0/16"
	nodePodRange   = "10.244.0.0/24"
	playedPodRange = "10.245.0.0/24" // of pods on nodes that are played
	apiServer      = "https://" + serviceIP + ":443"
	etcdURL        = "http://127.0.0.1:2379"
	etcdPeerURL    = "http://127.0.0.1:2380"
)

var componentNames = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet", onDemand}

// onDemand is the component that runs only after it was started by name: kwok, which
// plays further nodes.
const onDemand = "kwok"

// components gives the command line of each.
func (s site) components(kubebox string) map[string]component {
	pki := func(file string) string { return s.path("pki", file) }
	lines := map[string][]string{
		"etcd":                    {kubebox, "etcd"},
		"kube-apiserver":          {kubebox, "kube-apiserver"},
		"kube-controller-manager": {kubebox, "kube-controller-manager"},
		"kube-scheduler":          {kubebox, "kube-scheduler"},
		"kubelet":                 {kubebox, "kubelet"},
		"kwok":                    {s.path("kwok", "kwok")},
		"containerd":              {"containerd", "--config", s.path("containerd.toml")},
	}
	flags := map[string][]string{
		"etcd":                    s.etcdFlags(),
		"kube-apiserver":          apiServerFlags(pki),
		"kube-controller-manager": controllerFlags(pki),
		"kube-scheduler":          schedulerFlags(pki),
		"kubelet":                 s.kubeletFlags(pki),
		"kwok":                    append(kwokFlags(s.path("kwok", "stages.yaml"), pki("admin.kubeconfig")), "--server-address=127.0.0.1:10247"),
	}
	all := map[string]component{}
	for name, line := range lines {
		all[name] = component{name, slices.Concat(line, flags[name])}
	}
	return all
}

// etcdFlags give durability away: nothing here outlives the machine.
func (s site) etcdFlags() []string {
	return []string{
		"--name=etcd0", "--data-dir=" + s.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=" + etcdPeerURL, "--initial-advertise-peer-urls=" + etcdPeerURL, "--initial-cluster=etcd0=" + etcdPeerURL,
	}
}

func apiServerFlags(pki func(string) string) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=0.0.0.0", "--secure-port=443", "--advertise-address=" + nodeIP, "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceRange,
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"), "--client-ca-file=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP,Hostname",
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key"),
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki("service-accounts.key"), "--service-account-signing-key-file=" + pki("service-accounts.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
	}
}

// controllerFlags let the controllers ask as often as they like: a test that makes a
// thousand namespaces is not one of client-side throttling.
func controllerFlags(pki func(string) string) []string {
	return append(clientFlags(pki("controller-manager.kubeconfig")),
		"--service-account-private-key-file="+pki("service-accounts.key"), "--root-ca-file="+pki("ca.crt"),
		"--cluster-signing-cert-file="+pki("ca.crt"), "--cluster-signing-key-file="+pki("ca.key"),
		"--use-service-account-credentials=true",
		"--allocate-node-cidrs=true", "--cluster-cidr="+podRange, "--service-cluster-ip-range="+serviceRange,
		"--kube-api-qps=500", "--kube-api-burst=1000")
}

func schedulerFlags(pki func(string) string) []string {
	return append(clientFlags(pki("scheduler.kubeconfig")), "--kube-api-qps=500", "--kube-api-burst=1000")
}

func clientFlags(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
	}
}

func (s site) kubeletFlags(pki func(string) string) []string {
	return []string{
		"--config=" + s.path("kubelet.yaml"), "--kubeconfig=" + pki("kubelet.kubeconfig"),
		"--hostname-override=" + nodeName, "--node-ip=" + nodeIP, "--v=2",
	}
}
