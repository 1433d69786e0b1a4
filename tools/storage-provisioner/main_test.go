package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func wanted(node string) controller.ProvisionOptions {
	return controller.ProvisionOptions{
		PVName:           "pvc-1",
		SelectedNodeName: node,
		StorageClass:     &storage.StorageClass{},
		PVC: &core.PersistentVolumeClaim{Spec: core.PersistentVolumeClaimSpec{
			AccessModes: []core.PersistentVolumeAccessMode{core.ReadWriteOnce},
			Resources: core.VolumeResourceRequirements{
				Requests: core.ResourceList{core.ResourceStorage: resource.MustParse("1Gi")},
			},
		}},
	}
}

func provisioned(t *testing.T, volumes folders) *core.PersistentVolume {
	t.Helper()
	volume, state, err := volumes.Provision(context.Background(), wanted(volumes.node))
	if err != nil || state != controller.ProvisioningFinished {
		t.Fatalf("state %s, error %v", state, err)
	}
	return volume
}

func TestAVolumeIsAFolderOfTheNodeThatEveryUserCanWrite(t *testing.T) {
	volumes := folders{root: t.TempDir(), node: "here"}
	volume := provisioned(t, volumes)
	info, err := os.Stat(volume.Spec.Local.Path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Fatalf("%v, %v", info, err)
	}
	affinity := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]
	if affinity.Key != core.LabelHostname || affinity.Values[0] != "here" {
		t.Fatalf("affinity %v", affinity)
	}
	if volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		t.Fatalf("policy %s", volume.Spec.PersistentVolumeReclaimPolicy)
	}
}

func TestProvisionedAgainAfterACrashTheDataIsThere(t *testing.T) {
	volumes := folders{root: t.TempDir(), node: "here"}
	file := filepath.Join(provisioned(t, volumes).Spec.Local.Path, "data")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	provisioned(t, volumes)
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherNodesPodIsScheduledAgain(t *testing.T) {
	volumes := folders{root: t.TempDir(), node: "here"}
	_, state, err := volumes.Provision(context.Background(), wanted("there"))
	if err == nil || state != controller.ProvisioningReschedule {
		t.Fatalf("state %s, error %v", state, err)
	}
}

func TestASelectorIsRefused(t *testing.T) {
	claim := wanted("here")
	claim.PVC.Spec.Selector = &meta.LabelSelector{}
	if _, _, err := (folders{root: t.TempDir(), node: "here"}).Provision(context.Background(), claim); err == nil {
		t.Fatal("provisioned")
	}
}

func TestDeletingRemovesTheFolderAndTwiceIsHarmless(t *testing.T) {
	volumes := folders{root: t.TempDir(), node: "here"}
	volume := provisioned(t, volumes)
	for range 2 {
		if err := volumes.Delete(context.Background(), volume); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(volume.Spec.Local.Path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("still there")
	}
}

func TestNothingOutsideItsFolderIsDeleted(t *testing.T) {
	outside := t.TempDir()
	volumes := folders{root: t.TempDir(), node: "here"}
	for _, path := range []string{outside, volumes.root, filepath.Join(volumes.root, "pvc-2"), ""} {
		volume := provisioned(t, volumes)
		volume.Spec.Local.Path = path
		var ignored *controller.IgnoredError
		if err := volumes.Delete(context.Background(), volume); !errors.As(err, &ignored) {
			t.Fatalf("%q: %v", path, err)
		}
	}
	volume := provisioned(t, volumes)
	volume.Name, volume.Spec.Local.Path = "..", filepath.Dir(volumes.root)
	var ignored *controller.IgnoredError
	if err := volumes.Delete(context.Background(), volume); !errors.As(err, &ignored) {
		t.Fatalf("..: %v", err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Fatal(err)
	}
}
