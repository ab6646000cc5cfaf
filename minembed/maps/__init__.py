"""Maps of embeddings: points in two or three dimensions, measures of their quality, and files for viewing them.

    from minembed.maps import Map
    Map.of(model.encode(texts), texts, method="tsne").save("map.html")     # or .png, .svg

    from minembed.maps import cluster
    cluster(model.encode(texts), texts).names     # groups of similar meaning, named by their typical words

PCA and the HTML page need only NumPy; t-SNE, UMAP, clusters and pictures need the extra `viz`.
"""

from minembed.maps.chart import Map
from minembed.maps.clusters import Clusters, cluster
from minembed.maps.groups import Groups
from minembed.maps.pca import pca
from minembed.maps.projection import Projection, project
from minembed.maps.trust import Trust, measure

__all__ = ["Clusters", "Groups", "Map", "Projection", "Trust", "cluster", "measure", "pca", "project"]
