package kubeletapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
)

// ErrNoClientCA says that the API would be served to anybody, and so is not served.
var ErrNoClientCA = errors.New("no client CA, so that the API server could not be told from others and the kubelet API is not served: name a file with --client-ca-file")

// ClientCAsFromFile reads what signs the API server's client certificate, and reads it
// again when the file changes, as long as ctx lasts.
func ClientCAsFromFile(ctx context.Context, file string) (dynamiccertificates.CAContentProvider, error) {
	cas, err := dynamiccertificates.NewDynamicCAContentFromFile("kubelet-clients", file)
	if err != nil {
		return nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	go cas.Run(ctx, 1)
	return cas, nil
}

// Where API servers say which CA signs client certificates.
const (
	authNamespace = "kube-system"
	authConfigMap = "extension-apiserver-authentication"
	authKey       = "client-ca-file"
)

// ClientCAsFromCluster takes what the API server says of itself in the ConfigMap
// kube-system/extension-apiserver-authentication, which needs the role
// extension-apiserver-authentication-reader; changes are followed as long as ctx lasts.
func ClientCAsFromCluster(ctx context.Context, client kubernetes.Interface) (dynamiccertificates.CAContentProvider, error) {
	there, err := client.CoreV1().ConfigMaps(authNamespace).Get(ctx, authConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("find the client CA: %w; or name a file with --client-ca-file", err)
	}
	if there.Data[authKey] == "" {
		return nil, fmt.Errorf("find the client CA: ConfigMap %s/%s has no %s: %w", authNamespace, authConfigMap, authKey, ErrNoClientCA)
	}
	cas, err := dynamiccertificates.NewDynamicCAFromConfigMapController("kubelet-clients", authNamespace, authConfigMap, authKey, client)
	if err != nil {
		return nil, err
	}
	go cas.Run(ctx, 1)
	read := func(context.Context) (bool, error) { return len(cas.CurrentCABundleContent()) > 0, nil }
	if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, read); err != nil {
		return nil, fmt.Errorf("follow the client CA in ConfigMap %s/%s: %w", authNamespace, authConfigMap, err)
	}
	return cas, nil
}
