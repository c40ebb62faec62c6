package bundle

import ocispec "github.com/opencontainers/image-spec/specs-go/v1"

// Media types of Consign. They are written into signed documents and never
// change their meaning; a new shape gets a new version number.
const (
	// MediaTypeBundle is the artifactType of a bundle, an OCI image index.
	MediaTypeBundle = "application/vnd.consign.bundle.v1+json"
	// MediaTypeDesiredState is the artifactType of one device's desired state.
	MediaTypeDesiredState = "application/vnd.consign.desired-state.v1+json"
	// MediaTypeDeployment is a layer holding one Margo ApplicationDeployment.
	MediaTypeDeployment = "application/vnd.margo.deployment.v1+yaml"
	// MediaTypePolicy is the artifactType of an operator's policy.
	MediaTypePolicy = "application/vnd.consign.policy.v1+json"
	// MediaTypePolicyDocument is the layer holding the TrustPolicy.
	MediaTypePolicyDocument = "application/vnd.consign.policy.document.v1+yaml"
	// MediaTypePolicyRoot is a layer holding a supplier's TUF root metadata.
	MediaTypePolicyRoot = "application/vnd.consign.policy.root.v1+json"
	// MediaTypePolicyTrustedRoot is a layer holding a Sigstore trusted root.
	MediaTypePolicyTrustedRoot = "application/vnd.consign.policy.trusted-root.v1+json"
	// MediaTypeEvidence is a Sigstore bundle: the artifactType of an evidence
	// manifest and the media type of its layer, as cosign writes them.
	MediaTypeEvidence = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Media types of Margo 1.0.0-rc.3, Application Registry, and of Helm.
const (
	// MediaTypePackage is the artifactType of an application package.
	MediaTypePackage = "application/vnd.margo.app.v1+json"
	// MediaTypeDescription is the layer holding margo.yaml.
	MediaTypeDescription = "application/vnd.margo.app.description.v1+yaml"
	// MediaTypeCompose is the artifactType of a Compose component.
	MediaTypeCompose = "application/vnd.org.margo.component.compose+json"
	// MediaTypeComposeArchive is the one layer of a Compose component.
	MediaTypeComposeArchive = "application/vnd.org.margo.component.compose.tar+gzip"
	// MediaTypeHelm is the config media type by which an OCI manifest is known
	// as a Helm chart. Charts set no artifactType of their own.
	MediaTypeHelm = "application/vnd.cncf.helm.config.v1+json"
	// MediaTypeChart is the layer of a Helm chart that holds its archive, and
	// MediaTypeChartProvenance one that Helm's own signatures may add.
	MediaTypeChart           = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	MediaTypeChartProvenance = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// Media types of container images, besides those of the OCI image-spec.
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Annotation keys of Consign.
const (
	// AnnotationRole on an entry is "package", "component" or "image".
	AnnotationRole = "dev.consign.role"
	// AnnotationComponent on a component entry is the component's name in margo.yaml.
	AnnotationComponent = "dev.consign.component"
	// AnnotationImage on an image entry is the normalised reference that a
	// component's source uses for it; see [NormalizeReference].
	AnnotationImage = "dev.consign.image"
	// AnnotationApplication on the index is the Margo application id.
	AnnotationApplication = "dev.consign.application.id"
	// AnnotationVersion on the index is metadata.version of margo.yaml.
	AnnotationVersion = "dev.consign.application.version"
)

// Annotation keys of Margo (Application Registry) and of cosign.
const (
	annotationMargoResource  = "org.margo.app.resource"
	annotationMargoType      = "org.margo.component.type"
	annotationMargoVersion   = "org.margo.component.version"
	annotationBundleContent  = "dev.sigstore.bundle.content"
	annotationBundlePredType = "dev.sigstore.bundle.predicateType"
)

// Bounds of what is accepted, for readers and writers alike.
const (
	// MaxManifestBytes bounds every index and manifest: registries must accept
	// 4 MiB (OCI Distribution Spec 1.1, Pushing Manifests) and need not accept more.
	MaxManifestBytes = 4 << 20
	// MaxComponents bounds the components of one application; Margo examples
	// have a handful.
	MaxComponents = 64
	// MaxImages bounds the container images of one application.
	MaxImages = 512
	// MaxResources bounds the files beside margo.yaml; Margo names four.
	MaxResources = 16
	// MaxDeployments bounds the deployments of one device.
	MaxDeployments = 256
	// MaxRoots bounds the supplier roots in one policy.
	MaxRoots = 64
	// MaxDocumentBytes bounds a document that is read whole: margo.yaml, a
	// deployment, a policy, a TUF root, a signature.
	MaxDocumentBytes = 4 << 20
	// MaxResourceBytes bounds an icon, licence or manual.
	MaxResourceBytes = 64 << 20
	// MaxArchiveBytes bounds a Compose archive or chart, which hold configuration
	// and no images.
	MaxArchiveBytes = 64 << 20

	// maxDepth bounds the nesting of JSON; an OCI document needs five levels.
	maxDepth = 16
)

// isImageManifest and isImageIndex form the closed list of what an image may be.
func isImageManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == mediaTypeDockerManifest
}

func isImageIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == mediaTypeDockerList
}
