"""What sigmoid, softmax and IoU may be made of: the operators and packages that a formula needs.

A worker notes which operators torch runs and which packages are called while one of these functions runs; whatever is
not listed here does the work of the function, or a part of it, and counts as ready-made.
"""

FORMULAS = ("sigmoid", "softmax", "IoU")
# Whose code may run. Among torch's and NumPy's functions OPERATORS and UFUNCS decide; the others hold no formula.
PACKAGES = {
    "torch",
    "torchgen",
    "functorch",
    "numpy",
    "cv2",
    "PIL",
    "tqdm",
    "matplotlib",
    "typing_extensions",
    "opt_einsum",
    "filelock",  # torch brings it, and newer ones run code of theirs in every process that forks
}
UFUNCS = ("logaddexp", "logaddexp2")  # NumPy's, which give a sigmoid in one step

_SHAPES = """
    alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to cat chunk column_stack concat
    concatenate conj contiguous constant_pad_nd detach diag diag_embed diagflat diagonal dsplit dstack expand
    expand_as flatten flip fliplr flipud hsplit hstack moveaxis movedim narrow numpy_T pad permute positive ravel
    repeat repeat_interleave reshape reshape_as resize resolve_conj resolve_neg roll rot90 select slice split
    split_with_sizes squeeze stack swapaxes swapdims t tensor_split tile transpose unbind unflatten unfold
    unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze view view_as vsplit vstack block_diag meshgrid mT mH
    adjoint _reshape_alias _stack _unsafe_view _neg_view _conj _add_batch_dim _remove_batch_dim sum_to_size
    _resize_output
"""
_MAKING = """
    arange as_tensor clone copy copy_ complex cpu cuda empty empty_like empty_permuted empty_strided eye fill fill_
    full full_like lift lift_fresh lift_fresh_copy linspace new_empty new_empty_strided new_full new_ones new_zeros
    ones ones_like rand rand_like randn randn_like randint random scalar_tensor set set_ tensor to to_dense type_as
    zero zero_ zeros zeros_like _to_copy _to_dense _lazy_clone data set_data requires_grad pin_memory is_pinned
    record_stream _shape_as_tensor _conj_physical _fw_primal _make_dual _unpack_dual retain_grad
"""
_READING = """
    allclose equal is_nonzero item _local_scalar_dense numel size stride dim storage_offset is_same_size result_type
    promote_types can_cast isclose isfinite isinf isnan isneginf isposinf isreal real imag is_set_to sym_size
    sym_numel sym_stride sym_storage_offset _is_all_true _is_any_true _is_zerotensor _has_same_storage_numel
    _assert_async _functional_assert_async _version is_complex is_floating_point
"""
_CHOOSING = """
    where masked_fill masked_scatter masked_select index index_add index_copy index_fill index_put _index_put_impl
    _unsafe_index _unsafe_index_put index_select gather scatter scatter_add scatter_reduce index_reduce take
    take_along_dim put nonzero nonzero_static nonzero_numpy argwhere sort msort argsort topk kthvalue unique_dim
    _unique _unique2 unique_consecutive isin select_scatter slice_scatter diagonal_scatter as_strided_scatter
    slice_backward select_backward tril triu heaviside searchsorted bucketize one_hot threshold relu
"""
_COMPARING = """
    eq ne lt le gt ge equal not_equal less less_equal greater greater_equal logical_and logical_or logical_not
    logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor bitwise_left_shift bitwise_right_shift __and__ __or__
    __xor__ __iand__ __ior__ __ixor__ __lshift__ __rshift__ __ilshift__ __irshift__ signbit sign sgn maximum minimum
    fmax fmin clamp clamp_min clamp_max clip nan_to_num copysign
"""
_ARITHMETIC = """
    abs absolute add addcdiv addcmul addmm addmv addbmm addr baddbmm bmm ceil cross cumprod cumsum deg2rad diff div
    divide dot einsum exp exp2 expm1 fix float_power floor floor_divide fmod frac frexp hypot inner kron ldexp lerp
    log log10 log1p log2 matmul mm mul multiply mv neg negative outer pow rad2deg reciprocal remainder round rsqrt
    rsub sqrt square sub subtract tensordot true_divide trunc vdot special_exp2 special_expm1 special_log1p
    special_round sin cos tan sinh cosh tanh asinh acosh atanh arctanh atan nextafter gcd lcm
"""
_REDUCING = """
    all any amax amin aminmax _aminmax argmax argmin bincount count_nonzero cummax cummin _cummax_helper
    _cummin_helper histc histogram max mean median min mode nanmean nanmedian nansum norm prod quantile nanquantile
    std std_mean sum trace var var_mean linalg_vector_norm linalg_norm trapezoid max_pool1d max_pool2d avg_pool1d
    avg_pool2d dist
"""
OPERATORS = frozenset(f"{_SHAPES} {_MAKING} {_READING} {_CHOOSING} {_COMPARING} {_ARITHMETIC} {_REDUCING}".split())


def find(calls: list[str]) -> str | None:
    """Return the first of the calls a worker noted that no formula needs. torch's operators begin with `torch.`."""
    for name in calls:
        package, _, operator = name.partition(".")
        if package != "torch":
            return name
        # A trailing underscore marks the operator that works in place, `_copy` the one that returns no view.
        if operator not in OPERATORS and operator.rstrip("_").removesuffix("_copy") not in OPERATORS:
            return name
    return None
