/* In-place changes of views, where gradients are recorded: values, gradients, nodes and errors. All
 * numbers and error texts are PyTorch 1.13.1's for the same programs. */
#include "engine/decimal.h"
#include "tests/engine/lab.h"
#include "tests/engine/programs.h"

static void items_are_set(void **state)
{
    (void)state;
    assert_prints(
        "w=torch.ones(3,requires_grad=True)\ny=w*2\ny[0]=1\nf=y.grad_fn\n"
        "print(y,y._version,f.name(),f.next_functions[0][0].name(),f.next_functions[1])\n"
        "y[1]*=w[2]\nf=y.grad_fn\n"
        "print(y,y._version,f.next_functions[0][0].name(),f.next_functions[1][0].name())\n"
        "y.sum().backward()\nprint(w.grad)",
        "tensor([1., 2., 2.], grad_fn=<CopySlices>) 1 torch::autograd::CopySlices MulBackward0 "
        "(None, 0)\n"
        "tensor([1., 2., 2.], grad_fn=<CopySlices>) 3 torch::autograd::CopySlices "
        "AsStridedBackward0\n"
        "tensor([0., 2., 4.])\n");
    assert_prints(
        "w=torch.ones(3,requires_grad=True)\ny=torch.zeros(3,dtype=torch.float64)\n"
        "y[0]=w[1]\n"
        "print(y.requires_grad,y.is_leaf,y.grad_fn.next_functions[0],y.grad_fn.next_functions[1][0]"
        ".name())\n"
        "y[1:]*=w[1:]\ny.sum().backward()\nprint(w.grad,y)",
        "True False (None, 0) SelectBackward0\n"
        "tensor([0., 1., 0.]) tensor([1., 0., 0.], dtype=torch.float64, grad_fn=<CopySlices>)\n");
    assert_prints("x=torch.tensor(2.,requires_grad=True)\ny=torch.zeros(2,2)\ny[0,0]=x\n"
                  "y[0,1]=x*x\ny[1]=x.exp()\ny.sum().backward()\nprint(y,x.grad)",
                  "tensor([[2.0000, 4.0000],\n"
                  "        [7.3891, 7.3891]], grad_fn=<CopySlices>) tensor(19.7781)\n");
    assert_prints("a=torch.ones(2,3,requires_grad=True)\nb=torch.zeros(2,2,3)\nb[0]=a\n"
                  "b[1,:,1:]=a[:,:2]*2\nb[:,0]+=a[0]\n(b*b).sum().backward()\nprint(b,a.grad)",
                  "tensor([[[2., 2., 2.],\n         [1., 1., 1.]],\n\n        [[1., 3., 3.],\n"
                  "         [0., 2., 2.]]], grad_fn=<CopySlices>) tensor([[22., 26., 14.],\n"
                  "        [10., 10.,  2.]])\n");
    assert_prints("a=torch.tensor([1.,2,3],requires_grad=True)\nb=a*1\nb[0]-=a[2]\nb[1]/=a[1]\n"
                  "b[2]**=2\nprint(b)\nb.sum().backward()\nprint(a.grad)",
                  "tensor([-2.,  1.,  9.], grad_fn=<CopySlices>)\ntensor([1., 0., 5.])\n");
    assert_prints("x=torch.ones(4,requires_grad=True)\ny=x*1\ny[:2], y[2:] = y[2:]*3, y[:2]*5\n"
                  "print(y)\ny.sum().backward()\nprint(x.grad)",
                  "tensor([3., 3., 5., 5.], grad_fn=<CopySlices>)\ntensor([5., 5., 3., 3.])\n");
    assert_prints("x=torch.ones(4,requires_grad=True)\ny=x*1\ny[torch.tensor([0,2])]=x[:2]*9\n"
                  "y[1:][y[1:]>2]=0\nprint(y,y.grad_fn.next_functions[0][0].name())\n"
                  "(y*y).sum().backward()\nprint(x.grad)",
                  "tensor([9., 1., 0., 1.], grad_fn=<CopySlices>) IndexPutBackward0\n"
                  "tensor([162.,   2.,   0.,   2.])\n");
    assert_prints("x=torch.ones(3,4,requires_grad=True)\ny=x*1\ny[:,1]*=5\n"
                  "print(y,len(y.grad_fn.next_functions))\n(y*y).sum().backward()\n"
                  "print(x.grad)",
                  "tensor([[1., 5., 1., 1.],\n        [1., 5., 1., 1.],\n"
                  "        [1., 5., 1., 1.]], grad_fn=<CopySlices>) 2\n"
                  "tensor([[ 2., 50.,  2.,  2.],\n        [ 2., 50.,  2.,  2.],\n"
                  "        [ 2., 50.,  2.,  2.]])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=torch.zeros(3,dtype=torch.int64)\n"
                  "y[0]=w[1]\nprint(y,y.requires_grad)",
                  "tensor([1, 0, 0]) False\n");
    assert_prints("x=torch.ones(3,requires_grad=True)\ny=x*2\nt=y.clone()\ny[0]=t[1]*t[2]\n"
                  "print(y)\ny.sum().backward()\nprint(x.grad)",
                  "tensor([4., 2., 2.], grad_fn=<CopySlices>)\ntensor([0., 6., 6.])\n");
    assert_prints("x=torch.ones(3,requires_grad=True)\nwith torch.no_grad():\n    x[0]=5\n"
                  "print(x)\n(x*x).sum().backward()\nprint(x.grad)",
                  "tensor([5., 1., 1.], requires_grad=True)\ntensor([10.,  2.,  2.])\n");
}

static void views_are_changed(void **state)
{
    (void)state;
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[0:2]\nu=v[0]\nu.mul_(5)\n"
                  "print(y,v,u)\n(y.sum()+v.sum()+u).backward()\nprint(w.grad)",
                  "tensor([10.,  2.,  2.], grad_fn=<CopySlices>) tensor([10.,  2.], "
                  "grad_fn=<AsStridedBackward0>) tensor(10., grad_fn=<AsStridedBackward0>)\n"
                  "tensor([30.,  4.,  2.])\n");
    assert_prints(
        "x=torch.ones(3,4,requires_grad=True)\ny=x*1\na=y[0]\nb=y[:,0]\na.mul_(2)\n"
        "b.mul_(3)\nprint(y,a,b)\n"
        "print(a.grad_fn.next_functions[0][0] is b.grad_fn.next_functions[0][0])\n"
        "(a.sum()*2+b.sum()*3+y.sum()).backward()\nprint(x.grad)",
        "tensor([[6., 2., 2., 2.],\n        [3., 1., 1., 1.],\n"
        "        [3., 1., 1., 1.]], grad_fn=<CopySlices>) tensor([6., 2., 2., 2.], "
        "grad_fn=<AsStridedBackward0>) tensor([6., 3., 3.], grad_fn=<AsStridedBackward0>)\n"
        "True\ntensor([[36.,  6.,  6.,  6.],\n        [12.,  1.,  1.,  1.],\n"
        "        [12.,  1.,  1.,  1.]])\n");
    assert_fails(
        "x=torch.ones(3,4,requires_grad=True)\ny=x*1\ny.view(-1)[5:].relu_()\n"
        "y.reshape(2,6)[1].exp_()\ny.flatten().mul_(2)\nprint(y)\ny.sum().backward()\n"
        "print(x.grad)",
        7, 1,
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation: [torch.FloatTensor [6]], which is output 0 of ExpBackward0, is at version 3; "
        "expected version 2 instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).");
    assert_prints("x=torch.ones(3,requires_grad=True)\ny=x*2\ny[1:].add_(x[:2],alpha=3)\n"
                  "y[::2].clamp_(0,3)\nprint(y)\ny.sum().backward()\nprint(x.grad)",
                  "tensor([2., 5., 3.], grad_fn=<CopySlices>)\ntensor([5., 2., 0.])\n");
    assert_prints("x=torch.ones(2,3,requires_grad=True)\ny=x*2\n"
                  "y.T[1:].masked_fill_(torch.tensor([True,False]),9.)\nprint(y)\n"
                  "y.sum().backward()\nprint(x.grad)",
                  "tensor([[2., 9., 9.],\n        [2., 2., 2.]], grad_fn=<CopySlices>)\n"
                  "tensor([[2., 0., 0.],\n        [2., 2., 2.]])\n");
    assert_prints("x=torch.ones(2,3,requires_grad=True,dtype=torch.float64)\ny=x*2\n"
                  "y[0].mul_(torch.ones(3))\ny[1]/=x[1]\ny.unsqueeze(0)[0,0].pow_(2)\n"
                  "print(y)\ny.sum().backward()\nprint(x.grad)",
                  "tensor([[4., 4., 4.],\n"
                  "        [2., 2., 2.]], dtype=torch.float64, grad_fn=<CopySlices>)\n"
                  "tensor([[8., 8., 8.],\n        [0., 0., 0.]], dtype=torch.float64)\n");
    assert_prints(
        "w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[0:0]\nv.mul_(3)\nv+=1\n"
        "print(y,v)\ny.sum().backward()\nprint(w.grad)",
        "tensor([2., 2., 2.], grad_fn=<CopySlices>) tensor([], grad_fn=<AsStridedBackward0>)\n"
        "tensor([2., 2., 2.])\n");
    assert_prints("w=torch.tensor([1.,2,3],requires_grad=True)\ny=w*2\nv=y[1]\nv.sin_()\n"
                  "v.cos_()\nprint(y,v)\ny.sum().backward()\nprint(w.grad)",
                  "tensor([2.0000, 0.7270, 6.0000], grad_fn=<CopySlices>) tensor(0.7270, "
                  "grad_fn=<AsStridedBackward0>)\n"
                  "tensor([ 2.0000, -0.8976,  2.0000])\n");
    assert_prints("a=torch.ones(3,requires_grad=True)\nb=a*1\nv=b[1:]\nu=v[1:]\nb[0]=2\n"
                  "v[0]=3\nu[0]=4\nprint(b,v,u,b._version,v._version)\n"
                  "print(b.grad_fn.next_functions[0][0].next_functions[0][0].name())\n"
                  "(b.sum()+v.sum()+u.sum()).backward()\nprint(a.grad)",
                  "tensor([2., 3., 4.], grad_fn=<CopySlices>) tensor([3., 4.], "
                  "grad_fn=<AsStridedBackward0>) tensor([4.], grad_fn=<AsStridedBackward0>) 3 3\n"
                  "torch::autograd::CopySlices\ntensor([0., 0., 0.])\n");
    assert_prints("a=torch.tensor([1.,2,3],requires_grad=True)\nb=a*1\nb[0].clamp_(min=2)\n"
                  "b[1:].clamp_(max=a[0])\nprint(b)\nb.sum().backward()\nprint(a.grad)",
                  "tensor([2., 1., 1.], grad_fn=<CopySlices>)\ntensor([2., 0., 0.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\ne=y.expand(2,3)\ne[0]*=w\n"
                  "print(y,e)\ne.sum().backward()\nprint(w.grad)",
                  "tensor([2., 2., 2.], grad_fn=<CopySlices>) tensor([[2., 2., 2.],\n"
                  "        [2., 2., 2.]], grad_fn=<AsStridedBackward0>)\ntensor([8., 8., 8.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*1\n"
                  "y.mul_(torch.ones(3,dtype=torch.float64)*2)\n"
                  "y[:2].pow_(torch.ones(2,dtype=torch.float64)*2)\ny.sum().backward()\n"
                  "print(w.grad,y.dtype)",
                  "tensor([8., 8., 2.]) torch.float32\n");
}

static void bases_of_any_layout(void **state)
{
    (void)state;
    assert_prints("x=torch.ones(2,3,requires_grad=True)\ny=(x*2)\nz=y.t()\nz[0]=7\n"
                  "z[1].mul_(x[0,0])\nprint(z,y)\n(y*y).sum().backward()\nprint(x.grad)",
                  "tensor([[7., 7.],\n        [2., 2.],\n"
                  "        [2., 2.]], grad_fn=<AsStridedBackward0>) tensor([[7., 2., 2.],\n"
                  "        [7., 2., 2.]], grad_fn=<CopySlices>)\ntensor([[16.,  8.,  8.],\n"
                  "        [ 0.,  8.,  8.]])\n");
    assert_prints("x=torch.arange(6.,requires_grad=True)\ny=(x*2).view(2,3).t()\nz=y[1:]\n"
                  "y.mul_(x[0]+2)\nz[0].div_(x[1]+1)\nprint(y,z,y._version)\n"
                  "(y*y).sum().backward()\nprint(x.grad)",
                  "tensor([[ 0., 12.],\n        [ 2.,  8.],\n"
                  "        [ 8., 20.]], grad_fn=<AsStridedBackward0>) tensor([[ 2.,  8.],\n"
                  "        [ 8., 20.]], grad_fn=<AsStridedBackward0>) 2\n"
                  "tensor([676., -60.,  64.,  96.,  32., 160.])\n");
    assert_prints("a=torch.ones(2,3,requires_grad=True)\nb=a.expand(4,2,3).clone()\n"
                  "b[::2].mul_(2)\nb[1,:,0]=a[0,0]*5\nb.permute(2,0,1)[2].neg_()\n"
                  "(b*b).sum().backward()\nprint(b,a.grad)",
                  "tensor([[[ 2.,  2., -2.],\n         [ 2.,  2., -2.]],\n\n"
                  "        [[ 5.,  1., -1.],\n         [ 5.,  1., -1.]],\n\n"
                  "        [[ 2.,  2., -2.],\n         [ 2.,  2., -2.]],\n\n"
                  "        [[ 1.,  1., -1.],\n"
                  "         [ 1.,  1., -1.]]], grad_fn=<CopySlices>) tensor([[118.,  20.,  20.],\n"
                  "        [ 18.,  20.,  20.]])\n");
    assert_prints("s=torch.arange(6.)[1:4].detach()\nw=torch.ones(2,requires_grad=True)\n"
                  "v=s[::2]\nv.mul_(w)\nprint(s,v)\n(s*s).sum().backward()\nprint(w.grad)",
                  "tensor([1., 2., 3.], grad_fn=<CopySlices>) tensor([1., 3.], "
                  "grad_fn=<AsStridedBackward0>)\n"
                  "tensor([ 2., 18.])\n");
    assert_fails("s=torch.arange(6.)[::2].detach()\nw=torch.ones(2,requires_grad=True)\n"
                 "v=s[1:]\nv.mul_(w)\nprint(s,v)\n(s*s).sum().backward()\nprint(w.grad)\n"
                 "v.sum().backward()\nprint(w.grad)",
                 8, 1,
                 "Trying to backward through the graph a second time (or directly access saved "
                 "tensors after they have already been freed). Saved intermediate values of the "
                 "graph are freed when you call .backward() or autograd.grad(). Specify "
                 "retain_graph=True if you need to backward through the graph a second time or if "
                 "you need to access saved tensors after calling backward.");
    assert_prints("w=torch.tensor([1.,2,3],requires_grad=True)\n"
                  "d=torch.arange(9.).reshape(3,3).t().detach()\nd.pow_(w)\n"
                  "(d*d).sum().backward()\nprint(w.grad)",
                  "tensor([5.5452e+00, 2.8996e+03, 1.7153e+06])\n");
    assert_prints("x=torch.ones(2,3,requires_grad=True)\ny=x.detach()\nv=y[0]\n"
                  "z=torch.ones(3,requires_grad=True)\nv.mul_(z)\nprint(y,v,x)\n"
                  "y.sum().backward()\nprint(z.grad,x.grad)",
                  "tensor([[1., 1., 1.],\n"
                  "        [1., 1., 1.]], grad_fn=<CopySlices>) tensor([1., 1., 1.], "
                  "grad_fn=<AsStridedBackward0>) tensor([[1., 1., 1.],\n"
                  "        [1., 1., 1.]], requires_grad=True)\ntensor([1., 1., 1.]) None\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\nd=y.detach()\nd[0]=5\ne=y.data\n"
                  "e[1]=6\nprint(y,y._version)",
                  "tensor([5., 6., 2.], grad_fn=<MulBackward0>) 1\n");
}

static void histories_are_made_anew(void **state)
{
    (void)state;
    assert_prints("w=torch.ones(3,requires_grad=True)\nb=w*2\nv=b[0]\nb.mul_(2)\nv.backward()\n"
                  "print(w.grad)",
                  "tensor([4., 0., 0.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\nb=w*2\nv=b[:2]\nb.mul_(2)\n"
                  "z=(v*v).sum()\n"
                  "print(torch.autograd.grad(z, v, retain_graph=True), torch.autograd.grad(z, w, "
                  "retain_graph=True))\n"
                  "print(torch.autograd.grad(b.sum(), v, allow_unused=True))",
                  "(tensor([8., 8.]),) (tensor([32., 32.,  0.]),)\n(None,)\n");
    assert_prints("w=torch.tensor([1.,2,3],requires_grad=True)\ny=w*2\nv=y.view(3,1)\ny+=w\n"
                  "print(v,v.grad_fn.name(),v._version)\n"
                  "print(v.requires_grad,v.is_leaf,v.retains_grad)\nv.sum().backward()\n"
                  "print(w.grad)",
                  "tensor([[3.],\n        [6.],\n"
                  "        [9.]], grad_fn=<AsStridedBackward0>) AsStridedBackward0 1\n"
                  "True False False\ntensor([3., 3., 3.])\n");
    assert_prints("a=torch.ones(3,requires_grad=True)\nb=a*1\nv=b[1:]\nb.mul_(2)\nf=v.grad_fn\n"
                  "print(f is v.grad_fn, f'{v}', [v])\nb.mul_(2)\nprint(v.grad_fn is f)",
                  "True tensor([2., 2.], grad_fn=<AsStridedBackward0>) [tensor([2., 2.], "
                  "grad_fn=<AsStridedBackward0>)]\n"
                  "False\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\nv=w[0:2]\nwith torch.no_grad():\n"
                  "    w.mul_(2)\nprint(v)\n(v*v).sum().backward()\nprint(w.grad)",
                  "tensor([2., 2.], grad_fn=<AsStridedBackward0>)\ntensor([4., 4., 0.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[0]\ny.detach_()\nprint(y,v)\n"
                  "y.mul_(2)\nprint(y,v,v.grad_fn.next_functions)",
                  "tensor([2., 2., 2.]) tensor(2., grad_fn=<SelectBackward0>)\n"
                  "tensor([4., 4., 4.]) tensor(4., grad_fn=<AsStridedBackward0>) ((None, 0),)\n");
    assert_prints("x=torch.ones(3)\nv=x[0:2]\nv.requires_grad_()\nx.mul_(2)\n"
                  "(v*v).sum().backward()\nprint(v,v.grad)\n"
                  "x.mul_(torch.ones(3,requires_grad=True))\nprint(v)",
                  "tensor([2., 2.], requires_grad=True) tensor([4., 4.])\n"
                  "tensor([2., 2.], grad_fn=<AsStridedBackward0>)\n");
    assert_prints("x=torch.ones(3)\nv=x[0:2]\nx.requires_grad_()\n"
                  "print(v.requires_grad,v.grad_fn,v.is_leaf)",
                  "True None True\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\nwith torch.no_grad():\n    v=w[0:2]\n"
                  "print(v,v.requires_grad,v.is_leaf,(v*2).grad_fn.name())",
                  "tensor([1., 1.], requires_grad=True) True True MulBackward0\n");
}

static void gradients_are_retained(void **state)
{
    (void)state;
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\ny.retain_grad()\ny.mul_(3)\n"
                  "(y*y).sum().backward()\nprint(y.retains_grad,y.grad)",
                  "True tensor([12., 12., 12.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\ny.retain_grad()\ny[0]=3\n"
                  "(y*y).sum().backward()\nprint(y.retains_grad,y.grad,w.grad)",
                  "True tensor([0., 4., 4.]) tensor([0., 8., 8.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\ny[0]=3\ny.retain_grad()\n"
                  "(y*y).sum().backward()\nprint(y.grad,w.grad)",
                  "tensor([6., 4., 4.]) tensor([0., 8., 8.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[:2]\nv.mul_(5)\n"
                  "v.retain_grad()\n(v*v).sum().backward()\nprint(v.retains_grad,v.grad,w.grad)",
                  "True tensor([20., 20.]) tensor([200., 200.,   0.])\n");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[:2]\nv.retain_grad()\n"
                  "v.mul_(5)\n(y*y).sum().backward()\nprint(v.retains_grad,v.grad,w.grad)",
                  "True None tensor([200., 200.,   8.])\n");
}

static void as_strided_has_a_gradient(void **state)
{
    (void)state;
    assert_prints("e=torch.ones(9,requires_grad=True)\ns=e.as_strided((3,3),(1,1))\n"
                  "print(s.grad_fn.name())\ns.sum().backward()\nprint(e.grad)",
                  "AsStridedBackward0\ntensor([1., 2., 3., 2., 1., 0., 0., 0., 0.])\n");
    assert_prints("e=torch.ones(9,requires_grad=True)\nx=e.as_strided((3,3),(1,1))\n"
                  "s=x.as_strided((4,),(2,))\ns.sum().backward()\nprint(e.grad)",
                  "tensor([1., 0., 1., 0., 1., 0., 0., 0., 0.])\n");
    assert_prints("e=torch.ones(3,requires_grad=True)\nx=e[0:1].expand(3)\n"
                  "s=x.as_strided((2,),(1,))\ns.sum().backward()\nprint(e.grad)",
                  "tensor([1., 0., 0.])\n");
    assert_prints("e=torch.ones(9,requires_grad=True)\nx=e[2:4]\ns=x.as_strided((9,),(1,),0)\n"
                  "s.sum().backward()\nprint(e.grad)",
                  "tensor([0., 0., 1., 1., 0., 0., 0., 0., 0.])\n");
    assert_prints("e=torch.ones(2,3,requires_grad=True)\nx=(e*2).t()\n"
                  "s=x.as_strided((2,2),(1,2),1)\n"
                  "(s*torch.tensor([[1.,2],[3,4]])).sum().backward()\nprint(s,e.grad)",
                  "tensor([[2., 2.],\n"
                  "        [2., 2.]], grad_fn=<AsStridedBackward0>) tensor([[0., 2., 6.],\n"
                  "        [4., 8., 0.]])\n");
    assert_prints(
        "e=torch.arange(6.,requires_grad=True)\nx=e[1::2]\n"
        "s=x.as_strided((2,2),(1,2))\n"
        "(s*torch.tensor([[1.,2],[3,4]])).sum().backward()\nprint(s,e.grad)",
        "tensor([[1., 3.],\n"
        "        [2., 4.]], grad_fn=<AsStridedBackward0>) tensor([0., 1., 0., 2., 0., 0.])\n");
    assert_prints("x=torch.ones(4,requires_grad=True)\ny=x*2\nv=y.as_strided((2,2),(1,2))\n"
                  "v.mul_(3)\nv[1].add_(x[:2])\nprint(y,v)\n(y*y).sum().backward()\n"
                  "print(x.grad)",
                  "tensor([6., 7., 6., 7.], grad_fn=<CopySlices>) tensor([[6., 6.],\n"
                  "        [7., 7.]], grad_fn=<AsStridedBackward0>)\n"
                  "tensor([86., 98., 72., 84.])\n");
    assert_prints("e=torch.arange(2.,requires_grad=True)\n"
                  "x=e.expand(3,2).detach().requires_grad_()\ns=x.as_strided((2,),(1,))\n"
                  "(s*torch.tensor([3.,6])).sum().backward()\nprint(x.grad)",
                  "tensor([[1., 2.],\n        [1., 2.],\n        [1., 2.]])\n");
    assert_fails("x=torch.ones(4)\nprint(x.as_strided((0,2),(3,3),7))\n"
                 "x.as_strided((3,),(1,),2)",
                 3, 1,
                 "setStorage: sizes [3], strides [1], storage offset 2, and itemsize 4 requiring a "
                 "storage size of 20 are out of bounds for storage of size 16");
    assert_fails("x=torch.ones(4)\n"
                 "y=x.as_strided((2,2),(9223372036854775807,9223372036854775807),2)",
                 2, 3,
                 "Storage size calculation overflowed with sizes=[2, 2] and "
                 "strides=[9223372036854775807, 9223372036854775807]");
    assert_fails("x=torch.ones(4)\ny=x.as_strided((2,),(1,),-1)", 2, 3,
                 "Tensor: invalid storage offset -1");
}

static void what_is_saved_must_stay(void **state)
{
    (void)state;
    assert_fails(
        "w=torch.ones(3,requires_grad=True)\ny=w*2\ny[0]*=y[1]\ny.sum().backward()", 4, 1,
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation: [torch.FloatTensor []], which is output 0 of AsStridedBackward0, is at version "
        "2; expected version 0 instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).");
    assert_fails(
        "w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[:2]\nv.sigmoid_()\nv.add_(1)\n"
        "y.sum().backward()",
        6, 1,
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation: [torch.FloatTensor [2]], which is output 0 of SigmoidBackward0, is at version "
        "2; expected version 1 instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[:2]\nv.exp_()\nz=v*v\ny[2]=7\n"
                 "z.sum().backward()",
                 7, 1,
                 "one of the variables needed for gradient computation has been modified by an "
                 "inplace operation: [torch.FloatTensor [2]], which is output 0 of "
                 "AsStridedBackward0, is at version 2; expected version 1 instead. Hint: enable "
                 "anomaly detection to find the operation that failed to compute its gradient, "
                 "with torch.autograd.set_detect_anomaly(True).");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=w*2\nz=y*y\ny[2]=7\nz.sum().backward()", 5,
                 1,
                 "one of the variables needed for gradient computation has been modified by an "
                 "inplace operation: [torch.FloatTensor [3]], which is output 0 of "
                 "torch::autograd::CopySlices, is at version 1; expected version 0 instead. Hint: "
                 "enable anomaly detection to find the operation that failed to compute its "
                 "gradient, with torch.autograd.set_detect_anomaly(True).");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[:2]\nz=v*v\n"
                 "with torch.no_grad():\n    y[2]=7\nz.sum().backward()",
                 7, 1,
                 "one of the variables needed for gradient computation has been modified by an "
                 "inplace operation: [torch.FloatTensor [2]], which is output 0 of "
                 "AsStridedBackward0, is at version 1; expected version 0 instead. Hint: enable "
                 "anomaly detection to find the operation that failed to compute its gradient, "
                 "with torch.autograd.set_detect_anomaly(True).");
    assert_prints("x=torch.ones(2,2,requires_grad=True)\ny=x*3\nz=y.exp()\ny[0,0]=0\n"
                  "z.sum().backward()\nprint(x.grad)",
                  "tensor([[60.2566, 60.2566],\n        [60.2566, 60.2566]])\n");
    assert_fails(
        "w=torch.tensor([1.,2,3],requires_grad=True)\ny=w*2\ny[1].tanh_()\n"
        "y[2].mul_(4)\ny.sum().backward()",
        5, 1,
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation: [torch.FloatTensor []], which is output 0 of TanhBackward0, is at version 2; "
        "expected version 1 instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[0:2]\nv*=w[:2]\nv*=v\n"
                 "print(y,v)\ny.sum().backward()\nprint(w.grad)",
                 7, 1,
                 "one of the variables needed for gradient computation has been modified by an "
                 "inplace operation: [torch.FloatTensor [2]], which is output 0 of "
                 "AsStridedBackward0, is at version 2; expected version 1 instead. Hint: enable "
                 "anomaly detection to find the operation that failed to compute its gradient, "
                 "with torch.autograd.set_detect_anomaly(True).");
    assert_prints("w=torch.ones(3,requires_grad=True)\ny=w*2\nv=y[0:2]\n"
                  "y.sum().backward(retain_graph=True)\nv.mul_(3)\ny.sum().backward()\n"
                  "print(w.grad)",
                  "tensor([8., 8., 4.])\n");
}

static void what_may_not_be_changed(void **state)
{
    (void)state;
    assert_fails("w=torch.ones(3,requires_grad=True)\n"
                 "y=torch.ones(3)\n"
                 "v=y[:2]\n"
                 "y.mul_(w)\n"
                 "v.mul_(2)\n",
                 5, 1,
                 "a leaf Variable that requires grad is being used in an in-place operation.");
    assert_fails(
        "x=torch.ones(3,requires_grad=True)\nx[0]=1", 2, 1,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    assert_fails(
        "x=torch.ones(3)\nv=x[0:2]\nx.requires_grad_()\nv.mul_(2)", 4, 1,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    assert_fails(
        "x=torch.ones(3)\nv=x[0:2]\nv.requires_grad_()\nv.mul_(2)", 4, 1,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=w*2\nwith torch.no_grad():\n"
                 "    v=y[0:2]\nv.mul_(w[:2])",
                 5, 1,
                 "A view was created in no_grad mode and is being modified inplace with grad mode "
                 "enabled. Given that this use case is ambiguous and error-prone, it is forbidden. "
                 "You can clarify your code by moving both the view and the inplace either both "
                 "inside the no_grad block (if you don't want the inplace to be tracked) or both "
                 "outside (if you want the inplace to be tracked).");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=torch.ones(3)\nwith torch.no_grad():\n"
                 "    v=y[0:2]\nv.mul_(w[:2])",
                 5, 1,
                 "A view was created in no_grad mode and is being modified inplace with grad mode "
                 "enabled. Given that this use case is ambiguous and error-prone, it is forbidden. "
                 "You can clarify your code by moving both the view and the inplace either both "
                 "inside the no_grad block (if you don't want the inplace to be tracked) or both "
                 "outside (if you want the inplace to be tracked).");
    assert_fails(
        "w=torch.ones(3,requires_grad=True)\ny=torch.ones(3)\nwith torch.no_grad():\n"
        "    v=y[0:2]\ny.mul_(w)\nprint(v.requires_grad)\nv*2",
        7, 1,
        "A view was created in no_grad mode and its base or another view of its base has been "
        "modified inplace with grad mode enabled. Given that this use case is ambiguous and "
        "error-prone, it is forbidden. You can clarify your code by moving both the view and the "
        "inplace either both inside the no_grad block (if you don't want the inplace to be "
        "tracked) or both outside (if you want the inplace to be tracked).");
    assert_fails(
        "w=torch.ones(3,requires_grad=True)\ny=w*2\nwith torch.no_grad():\n"
        "    y.expand(2,3).add_(1)",
        4, 5,
        "unsupported operation: more than one element of the written-to tensor refers to a single "
        "memory location. Please clone() the tensor before performing the operation.");
    assert_fails(
        "w=torch.ones(3,requires_grad=True)\ny=w*2\ny[0:2]*=y[1]", 3, 1,
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        "to a single memory location. Please clone() the tensor before performing the operation.");
    assert_fails(
        "y=torch.arange(4.)\ny[0:2]=y[1]\ny[0:2]=y[1:3]", 3, 1,
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        "to a single memory location. Please clone() the tensor before performing the operation.");
    assert_fails(
        "y=torch.arange(4.)\ny+=y.view(4)\ny[::2]+=y[1::2]\nprint(y)\n"
        "y.detach().add_(y[1:2])",
        5, 1,
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        "to a single memory location. Please clone() the tensor before performing the operation.");
    assert_fails(
        "y=torch.arange(4.)\ny.view(2,2).add_(y.view(2,2).t())", 2, 1,
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        "to a single memory location. Please clone() the tensor before performing the operation.");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=torch.zeros(3,dtype=torch.int64)\n"
                 "y[:2].mul_(w[:2])",
                 3, 1, "result type Float can't be cast to the desired output type Long");
    assert_fails("w=torch.ones(3,requires_grad=True)\ny=w*2\ny[0].add_(torch.ones(3))", 3, 1,
                 "output with shape [] doesn't match the broadcast shape [3]");
    assert_fails(
        "x=torch.ones(2,2,requires_grad=True)\ny=x.exp()\ny[0,0]=0\ny.sum().backward()", 4, 1,
        "one of the variables needed for gradient computation has been modified by an inplace "
        "operation: [torch.FloatTensor [2, 2]], which is output 0 of ExpBackward0, is at version "
        "1; expected version 0 instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).");
}

/* What is recorded does not depend on the numbers. */
static void a_dry_tape_has_the_same_nodes(void **state)
{
    (void)state;
    struct tape t;
    struct err e;
    struct op_args first = {.step = 1}, number = {.alpha = 2};
    tape_init_dry(&t, kernels_best());
    struct tensor *x = tape_tensor(&t, DTYPE_FLOAT32, &SHAPE(2, 3)), *y, *v, *sum;
    assert_non_null(x);
    x->requires_grad = true;
    assert_int_equal(op_apply(&t, OP_NEG, NULL, &x, &y, &e), ERR_OK);
    assert_int_equal(op_apply(&t, OP_SELECT, &first, &y, &v, &e), ERR_OK);
    assert_int_equal(op_apply_in_place(&t, OP_FILL, &number, &v, 1, &e), ERR_OK);
    assert_string_equal(node_class(y->grad_fn), "CopySlices");
    assert_string_equal(node_class(y->grad_fn->next[0]), "NegBackward0");
    assert_string_equal(node_class(v->grad_fn), "AsStridedBackward0");
    assert_int_equal(op_apply_in_place(&t, OP_FILL, &number, &y, 1, &e), ERR_OK);
    assert_string_equal(tensor_grad_fn_class(v), "AsStridedBackward0");
    assert_int_equal(op_apply(&t, OP_SUM, NULL, &v, &sum, &e), ERR_OK);
    assert_ptr_equal(sum->grad_fn->next[0]->next[0], y->grad_fn);
    assert_int_equal(tape_backward(&t, sum, NULL, true, &e), ERR_OK);
    assert_true(shape_equal(&x->grad->shape, &x->shape));
    tape_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_set),
        cmocka_unit_test(views_are_changed),
        cmocka_unit_test(bases_of_any_layout),
        cmocka_unit_test(histories_are_made_anew),
        cmocka_unit_test(gradients_are_retained),
        cmocka_unit_test(as_strided_has_a_gradient),
        cmocka_unit_test(what_is_saved_must_stay),
        cmocka_unit_test(what_may_not_be_changed),
        cmocka_unit_test(a_dry_tape_has_the_same_nodes),
    };
    decimal_init();
    return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
