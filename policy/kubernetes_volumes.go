package policy

// kubeVolume is a volume of a pod. The server makes an empty directory of one
// that says nothing.
var kubeVolume = members(volumeKeys(), "name")

func volumeKeys() keysOf {
	keys := keysOf{
		"name": harmless(labelName),

		"configMap": granted("references", members(keysOf{
			"name":        granted("references", configMapName),
			"items":       harmless(kubeItems),
			"defaultMode": harmless(fileMode),
			"defaultUser": harmless(between(0, 1<<31)),
			"optional":    harmless(flag),
		}, "name")),
		"secret": granted("references", members(keysOf{
			"secretName":  granted("references", secretName),
			"items":       harmless(kubeItems),
			"defaultMode": harmless(fileMode),
			"defaultUser": harmless(between(0, 1<<31)),
			"optional":    harmless(flag),
		}, "secretName")),
		"downwardAPI": harmless(members(keysOf{
			"items":       harmless(kubeDownward),
			"defaultMode": harmless(fileMode),
			"defaultUser": harmless(between(0, 1<<31)),
		})),
		"projected":             granted("references, tokenAudiences", kubeProjected),
		"emptyDir":              granted("limits.tmpfs", kubeEmptyDir),
		"persistentVolumeClaim": granted("references", members(keysOf{"claimName": granted("references", claimName), "readOnly": harmless(flag)}, "claimName")),
		"ephemeral": granted("limits.volumes", members(keysOf{"volumeClaimTemplate": granted("limits.volumes", members(keysOf{
			"metadata": harmless(claimMeta),
			"spec":     granted("limits.volumes", kubeClaimSpec),
		}, "spec"))}, "volumeClaimTemplate")),
		"image": harmless(members(keysOf{"reference": harmless(kubeImage), "pullPolicy": harmless(pullPolicy)}, "reference")),

		"hostPath": granted("hostPaths", members(keysOf{
			"path": granted("hostPaths", text), // hostPathsGranted
			// Devices are for privileged pods.
			"type": harmless(oneOf("", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")),
		}, "path")),
		"nfs": granted("nfs", also(members(keysOf{
			"server":   harmless(text),
			"path":     harmless(text),
			"readOnly": harmless(flag),
		}, "server", "path"), func(w *walk, at place, nfs map[string]any) {
			server, _ := nfs["server"].(string)
			path, _ := nfs["path"].(string)
			w.want(at, "nfs", server+":"+path)
		})),
		"csi": granted("csiDrivers", members(keysOf{
			"driver":               granted("csiDrivers", byEntry("csiDrivers", plain)),
			"readOnly":             harmless(flag),
			"fsType":               harmless(text),
			"volumeAttributes":     harmless(mapOf(hidden)),
			"nodePublishSecretRef": granted("references", members(keysOf{"name": granted("references", secretName)}, "name")),
		}, "driver")),
	}
	for _, name := range removedVolumes {
		keys[name] = never("obsolete; say a claim or a CSI driver")
	}
	return keys
}

// removedVolumes are types whose drivers Kubernetes has taken out of itself, or
// that run programs of the node.
var removedVolumes = []string{
	"awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs",
	"iscsi", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
}

var fileMode = between(0, 0o777)

var kubeItems = listOf(members(keysOf{
	"key":  harmless(text),
	"path": harmless(containerFile),
	"mode": harmless(fileMode),
	"user": harmless(between(0, 1<<31)),
}, "key", "path"))

var kubeDownward = listOf(members(keysOf{
	"path":             harmless(containerFile),
	"fieldRef":         harmless(kubeFieldRef),
	"resourceFieldRef": harmless(kubeResourceRef),
	"mode":             harmless(fileMode),
	"user":             harmless(between(0, 1<<31)),
}, "path"))

var kubeProjected = members(keysOf{
	"defaultMode": harmless(fileMode),
	"defaultUser": harmless(between(0, 1<<31)),
	"sources": granted("references, tokenAudiences", listOf(members(keysOf{
		"configMap":   granted("references", members(keysOf{"name": granted("references", configMapName), "items": harmless(kubeItems), "optional": harmless(flag)}, "name")),
		"secret":      granted("references", members(keysOf{"name": granted("references", secretName), "items": harmless(kubeItems), "optional": harmless(flag)}, "name")),
		"downwardAPI": harmless(members(keysOf{"items": harmless(kubeDownward)})),
		"serviceAccountToken": granted("tokenAudiences", members(keysOf{
			// Without one it is for the API server alone.
			"audience":          granted("tokenAudiences", orEmpty(byEntry("tokenAudiences", plain))),
			"expirationSeconds": harmless(between(600, 86400)),
			"path":              harmless(containerFile),
			"user":              harmless(between(0, 1<<31)),
		}, "path")),
		"clusterTrustBundle": never("it is an object of the cluster"),
		"podCertificate":     never("others would sign who the pod is"),
	}))),
})

var kubeEmptyDir = also(members(keysOf{
	"medium":    harmless(oneOf("", "Memory")),
	"sizeLimit": harmless(amount),
	"mode":      harmless(between(0, 0o1777)),
}), func(w *walk, at place, dir map[string]any) {
	if dir["medium"] != "Memory" {
		return
	}
	// The kubelet's own bound is what the node has.
	if n, ok := bytesOf(dir["sizeLimit"]); ok && n > 0 {
		w.within(at.key("sizeLimit"), "tmpfs", n, w.ceilings.tmpfs, sizeText)
	} else {
		w.ask(at.key("sizeLimit"), "is missing", "")
	}
})

// kubeClaimSpec is what a claim asks for: a new volume, or by grant a certain one.
var kubeClaimSpec = members(keysOf{
	"accessModes":      harmless(listOf(oneOf("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"))),
	"storageClassName": harmless(orEmpty(kubeName)),
	"volumeMode":       harmless(oneOf("Filesystem", "Block")),
	"resources": granted("limits.volumes", members(keysOf{
		"requests": granted("limits.volumes", members(keysOf{"storage": granted("limits.volumes", amount)}, "storage")), // growth
		"limits":   harmless(members(keysOf{"storage": harmless(amount)})),
	}, "requests")),
	"volumeName": granted("persistentVolumes", rule{check: func(w *walk, at place, v any) {
		if s, ok := v.(string); !ok || s != "" {
			w.wantFor(owner{section: sectionChart}, at, "persistentVolumes", s)
		}
	}}),
	"selector":                  never("it would choose among volumes that others made; name one"),
	"dataSource":                never("it is a copy of what others have"),
	"dataSourceRef":             never("it is a copy of what others have"),
	"volumeAttributesClassName": harmless(orEmpty(kubeName)),
}, "accessModes", "resources")
