"""LightGBM's words for training parameters: which mean ours, and which we lack.

Of LightGBM 4's documented parameters and aliases none is missing here; a test compares.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_SAME: Final = (
    "n_estimators num_iterations num_iteration n_iter nrounds max_iter num_boost_round",
    "n_estimators num_tree num_trees num_round num_rounds",
    "learning_rate eta shrinkage_rate",
    "num_leaves num_leaf max_leaf max_leaves max_leaf_nodes",
    "max_bin max_bins",
    "min_child_weight min_sum_hessian_in_leaf min_sum_hessian min_hessian min_sum_hessian_per_leaf",
    "min_data_in_leaf min_data min_data_per_leaf min_child_samples min_samples_leaf",
    "lambda_l1 reg_alpha l1_regularization",
    "lambda_l2 lambda reg_lambda l2_regularization",
    "min_gain_to_split min_split_gain",
    "max_delta_step max_tree_output max_leaf_output",
    "feature_fraction sub_feature colsample_bytree",
    "bagging_fraction bagging sub_row subsample",
    "early_stopping_round early_stopping early_stopping_rounds n_iter_no_change",
    "monotone_constraints monotone_constraint monotonic_cst mc",
    "objective objective_type app application loss",
    "num_class num_classes",
    "seed random_seed random_state",
)

ALIASES: Final[dict[str, str]] = {
    alias: line.split()[0] for line in _SAME for alias in line.split()[1:]
}
"""Words of LightGBM, each with our name for the same thing."""

OBJECTIVE_ALIASES: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("l2", "regression_l2", "mean_squared_error", "mse", "l2_root", "rmse"), "regression"
    ),
    "root_mean_squared_error": "regression",
    "softmax": "multiclass",
}
"""LightGBM's other words for an objective that we have."""


class Lacking(NamedTuple):
    """A parameter that we lack: values that ask for nothing we do not do, and what to do else."""

    harmless: tuple[object, ...]
    instead: str


_ANY: Final = (True, False)

_OTHERS: Final[tuple[tuple[str, dict[str, tuple[object, ...]]], ...]] = (
    (
        "trees are boosted plainly; for fewer rows a tree use bagging_fraction",
        {
            "boosting boosting_type boost": ("gbdt", "gbrt"),
            "data_sample_strategy": ("bagging",),
            "top_rate": (),
            "other_rate": (),
        },
    ),
    (
        "trees are never dropped; lower learning_rate, or stop earlier with early_stopping_round",
        {
            "drop_rate rate_drop": (),
            "max_drop": (),
            "skip_drop": (),
            "xgboost_dart_mode": (False,),
            "uniform_drop": (False,),
            "drop_seed": (),
        },
    ),
    (
        "rows are redrawn for each tree: bagging_freq is 1; leave bagging_fraction at 1 to use all",
        {"bagging_freq subsample_freq": (1,)},
    ),
    (
        "rows of both classes are drawn alike; use bagging_fraction and scale_pos_weight",
        {
            "pos_bagging_fraction pos_bagging pos_sub_row pos_subsample": (1,),
            "neg_bagging_fraction neg_bagging neg_sub_row neg_subsample": (1,),
            "bagging_by_query": (False,),
        },
    ),
    (
        "every draw is keyed by seed",
        {
            "bagging_seed bagging_fraction_seed": (),
            "feature_fraction_seed": (),
            "data_random_seed data_seed": (),
            "extra_seed": (),
            "objective_seed": (),
        },
    ),
    (
        "features are drawn once a tree; use feature_fraction",
        {
            "feature_fraction_bynode colsample_bynode sub_feature_bynode": (1,),
            "extra_trees extra_tree": (False,),
        },
    ),
    (
        "leaves are constants; use more leaves",
        {
            "linear_tree linear_trees": (False,),
            "linear_lambda": (0,),
        },
    ),
    (
        "leaves are not smoothed along their path; use lambda_l2 or min_child_weight",
        {
            "path_smooth": (0,),
        },
    ),
    (
        "weight the positives with scale_pos_weight",
        {
            "is_unbalance unbalance unbalanced_sets": (False,),
        },
    ),
    ("scores start from the best constant", {"boost_from_average": (True,)}),
    ("the link is the plain sigmoid", {"sigmoid": (1,)}),
    ("for skewed labels use objective poisson or tweedie", {"reg_sqrt": (False,)}),
    (
        "there is no huber, quantile or fair objective; use regression, poisson or tweedie",
        {
            "alpha": (),
            "fair_c": (),
        },
    ),
    (
        "there is no ranking; use objective binary and rank by its score",
        {
            "lambdarank_truncation_level": (),
            "lambdarank_norm": (),
            "lambdarank_position_bias_regularization": (),
            "label_gain": (),
            "eval_at ndcg_eval_at ndcg_at map_eval_at map_at": (),
            "group_column group group_id query_column query query_id": (),
        },
    ),
    (
        "any features may meet in a tree; leave a feature out, or lower max_depth",
        {
            "interaction_constraints": ("",),
            "forcedsplits_filename fs forced_splits_filename forced_splits_file forced_splits": (
                "",
            ),
            "feature_contri feature_contrib fc fp feature_penalty": (),
            "cegb_tradeoff": (1,),
            "cegb_penalty_split": (0,),
            "cegb_penalty_feature_lazy": (),
            "cegb_penalty_feature_coupled": (),
        },
    ),
    (
        "constraints follow the method 'basic', without a penalty; use monotone_constraints alone",
        {
            "monotone_constraints_method monotone_constraining_method mc_method": ("basic",),
            "monotone_penalty monotone_splits_penalty ms_penalty mc_penalty": (0,),
        },
    ),
    (
        "gradients are always in fixed point, as fine as row_cap allows",
        {
            "use_quantized_grad": (),
            "num_grad_quant_bins": (),
            "quant_train_renew_leaf": (),
            "stochastic_rounding": (),
        },
    ),
    (
        "early stopping watches the objective's own loss; all metrics are in the report",
        {
            "metric metrics metric_types": (),
            "first_metric_only": (False,),
            "early_stopping_min_delta": (0,),
            "is_provide_training_metric training_metric is_training_metric train_metric": (False,),
            "metric_freq output_freq": (1,),
            "auc_mu_weights": (),
            "multi_error_top_k": (1,),
        },
    ),
    (
        "bins are agreed by all sites from summed counts; use max_bin and min_data_in_bin",
        {
            "max_bin_by_feature": (),
            "bin_construct_sample_cnt subsample_for_bin": (),
            "forcedbins_filename": ("",),
            "feature_pre_filter": (False,),
            "use_missing": (True,),
            "zero_as_missing": (False,),
            "enable_bundle is_enable_bundle bundle": _ANY,
            "is_enable_sparse is_sparse enable_sparse sparse": _ANY,
            "two_round two_round_loading use_two_round_loading": (False,),
            "save_binary is_save_binary is_save_binary_file": (False,),
            "precise_float_parser": (False,),
            "parser_config_file": ("",),
        },
    ),
    (
        "label, weight, categories and features are declared in each brand's dbt model",
        {
            "data train train_data train_data_file data_filename": (),
            "valid test test_data test_data_file valid_data valid_data_file valid_filenames": (),
            "label_column label": (),
            "weight_column weight": (),
            "ignore_column ignore_feature blacklist": (),
            "categorical_feature categorical_features": (),
            "categorical_column cat_feature cat_column": (),
            "header has_header": (False,),
            "pre_partition is_pre_partition": _ANY,
        },
    ),
    (
        "sites are named under sites; each trains on its own processor and threads",
        {
            "num_threads num_thread nthread nthreads n_jobs": (0,),
            "tree_learner tree tree_type tree_learner_type": ("serial",),
            "device_type device": ("cpu",),
            "num_machines num_machine": (1,),
            "local_listen_port local_port port": (),
            "time_out": (),
            "machine_list_filename machine_list_file machine_list mlist": ("",),
            "machines workers nodes": ("",),
            "top_k topk": (),
            "gpu_platform_id": (-1,),
            "gpu_device_id": (-1,),
            "gpu_device_id_list": ("",),
            "gpu_use_dp": (False,),
            "num_gpu": (1,),
            "force_col_wise": _ANY,
            "force_row_wise": _ANY,
            "histogram_pool_size hist_pool_size": (-1,),
            "deterministic": _ANY,
        },
    ),
    (
        "a run trains, scores and saves by its own settings; leave it out",
        {
            "task task_type": ("train", "training"),
            "config config_file": ("",),
            "verbosity verbose": (-2, -1, 0, 1, 2, 3),
            "input_model model_input model_in": ("",),
            "output_model model_output model_out": (),
            "saved_feature_importance_type": (0,),
            "snapshot_freq save_period": (-1,),
            "refit_decay_rate": (),
            "start_iteration_predict": (0,),
            "num_iteration_predict": (-1,),
            "predict_raw_score is_predict_raw_score predict_rawscore raw_score": (False,),
            "predict_leaf_index is_predict_leaf_index leaf_index": (False,),
            "predict_contrib is_predict_contrib contrib": (False,),
            "predict_disable_shape_check": (False,),
            "pred_early_stop": (False,),
            "pred_early_stop_freq": (),
            "pred_early_stop_margin": (),
            "output_result predict_result prediction_result": (),
            "predict_name prediction_name pred_name name_pred": (),
            "convert_model_language": ("",),
            "convert_model convert_model_file": (),
        },
    ),
)

LACKING: Final[dict[str, Lacking]] = {
    word: Lacking(harmless, instead)
    for instead, parameters in _OTHERS
    for words, harmless in parameters.items()
    for word in words.split()
}
"""Every word of LightGBM that is no parameter of ours."""
