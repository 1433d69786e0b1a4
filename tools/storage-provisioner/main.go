// Command storage-provisioner makes the volumes of a StorageClass as folders of this node.
//
// It runs on the node itself and opens no port. Sizes are not enforced: a folder has none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file to reach the API server with")
	name := flag.String("provisioner-name", "coopctl.dev/local", "provisioner of the StorageClass")
	node := flag.String("hostname-override", "", "name of this node")
	root := flag.String("root", "", "folder for the volumes")
	flag.Parse()
	if *node == "" || *root == "" || !filepath.IsAbs(*root) {
		flag.Usage()
		os.Exit(2)
	}
	if err := serve(*kubeconfig, *name, folders{root: filepath.Clean(*root), node: *node}); err != nil {
		klog.ErrorS(err, "volumes are not provisioned")
		klog.Flush()
		os.Exit(1)
	}
}

// serve runs until a signal; work that has begun is finished first.
func serve(kubeconfig, name string, volumes folders) error {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	// The volumes themselves are open to every user: what keeps other users of the machine out is their parent.
	if err := os.MkdirAll(volumes.root, 0o700); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var working sync.WaitGroup
	provisioner := controller.NewProvisionController(ctx, client, name, volumes,
		controller.LeaderElection(false), controller.MetricsPort(0), controller.AddFinalizer(true))
	provisioner.ControllerWaitGroup(&working)
	provisioner.Run(ctx)
	working.Wait()
	return nil
}

// folders is a Provisioner whose volumes are folders below root on one node.
type folders struct {
	root, node string
}

// Provision makes the folder; made again after a crash it is the same one.
func (f folders) Provision(_ context.Context, wanted controller.ProvisionOptions) (
	*core.PersistentVolume, controller.ProvisioningState, error,
) {
	// An empty node means a class with immediate binding.
	if wanted.SelectedNodeName != "" && wanted.SelectedNodeName != f.node {
		return nil, controller.ProvisioningReschedule, fmt.Errorf("node %s has no local volumes", wanted.SelectedNodeName)
	}
	if wanted.PVC.Spec.Selector != nil {
		return nil, controller.ProvisioningFinished, errors.New("local volumes cannot be chosen by a selector")
	}
	path := filepath.Join(f.root, wanted.PVName)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// Pods run as users that are not known here; Mkdir's mode would be narrowed by the umask.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return f.volume(wanted, path), controller.ProvisioningFinished, nil
}

func (f folders) volume(wanted controller.ProvisionOptions, path string) *core.PersistentVolume {
	// A missing policy means Delete (Kubernetes StorageClass, v1).
	policy := core.PersistentVolumeReclaimDelete
	if wanted.StorageClass.ReclaimPolicy != nil {
		policy = *wanted.StorageClass.ReclaimPolicy
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: wanted.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: policy,
			AccessModes:                   wanted.PVC.Spec.AccessModes,
			MountOptions:                  wanted.StorageClass.MountOptions,
			Capacity: core.ResourceList{
				core.ResourceStorage: wanted.PVC.Spec.Resources.Requests[core.ResourceStorage],
			},
			PersistentVolumeSource: core.PersistentVolumeSource{
				Local: &core.LocalVolumeSource{Path: path},
			},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{{
					Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{f.node},
				}}}},
			}},
		},
	}
}

// Delete removes the folder that Provision made for this volume, and no other path that the object may name.
func (f folders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	path := filepath.Join(f.root, volume.Name)
	if volume.Spec.Local == nil || volume.Spec.Local.Path != path || filepath.Dir(path) != f.root {
		return &controller.IgnoredError{Reason: fmt.Sprintf("volume %s is not a folder of %s", volume.Name, f.root)}
	}
	return os.RemoveAll(path)
}
