package main

import (
	"os"
	"path/filepath"
	"strings"
)

const pauseImage = "localhost/spillway/pause:test"

// nodeFiles are the settings of containerd, its network and the kubelet. All paths
// but those of keys are the programs' usual ones, inside the cluster.
var nodeFiles = map[string]string{
	"containerd.toml": `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "PAUSE"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "CNI"
    conf_dir = "DIR/cni"
`,
	"cni/10-bridge.conflist": `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`,
	"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: DIR/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: DIR/pki/kubelet-serving.crt
tlsPrivateKeyFile: DIR/pki/kubelet-serving.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /NAME
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
resolvConf: ""
clusterDomain: DOMAIN
clusterDNS: [RESOLVER]
evictionHard: {memory.available: 100Mi}
imageMinimumGCAge: 24h
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 5s
kubeAPIQPS: 500
kubeAPIBurst: 1000
`,
}

// writeNodeFiles fills the settings in. No image is collected, and no pod evicted
// because this machine's disk is full: what is on it is not the tests' affair.
func (s site) writeNodeFiles() error {
	fill := strings.NewReplacer("PAUSE", pauseImage, "CNI", cniPlugins, "PODS", nodePodRange, "NAME", s.name(), "DOMAIN", clusterDomain, "RESOLVER", dnsIP, "DIR", s.dir)
	for name, text := range nodeFiles {
		file := s.path(name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(fill.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writePause makes the image that holds the namespaces of pods, out of this program.
func (s site) writePause() (file string, err error) {
	const ourselves = "/proc/self/exe"
	if err := static(ourselves); err != nil {
		return "", err
	}
	content, err := os.ReadFile(ourselves)
	if err != nil {
		return "", err
	}
	root, err := layer("cluster", content)
	if err != nil {
		return "", err
	}
	tarball, _, err := packLayer(pauseImage, root, []string{"/cluster", "pause"})
	if err != nil {
		return "", err
	}
	file = s.path("images", "pause.tar")
	return file, os.WriteFile(file, tarball, 0o644)
}
